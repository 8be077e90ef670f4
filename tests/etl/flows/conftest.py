"""One Prefect server, and one receiver of what runs say, for all tests of the flows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.api import ask
from order_telemetry import WatchedScene, watched_scene


@pytest.fixture(scope="session", name="scene")
def _scene() -> Iterator[WatchedScene]:
    with watched_scene() as found:
        with found.server.client() as api:
            # Enough for all: else each chunk would wait for Prefect, and log that there is none.
            ask(api, "/v2/concurrency_limits/", name="etl-redis", limit=8)
        yield found
