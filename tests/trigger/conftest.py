"""What tests share: spans of this process stay in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefect_instrumentation.testing import record_spans


@pytest.fixture(autouse=True, scope="session")
def _spans() -> Iterator[None]:
    """Have a tracer provider, so that none is set up that sends to a collector."""
    with record_spans():
        yield
