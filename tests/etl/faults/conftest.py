"""One Prefect server for all faults, and a shop with a Redis of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from order_scene import Scene, Shop, scene, shop


@pytest.fixture(scope="session", name="scene")
def _scene() -> Iterator[Scene]:
    with scene() as found:
        yield found


@pytest.fixture(name="acme")
def _acme(scene: Scene) -> Iterator[Shop]:
    with shop(scene) as found:
        yield found
