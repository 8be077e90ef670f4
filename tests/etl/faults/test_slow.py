"""What answers, but not in time."""

from __future__ import annotations

import pytest

from order_lakes import expected
from order_rows import add, row
from order_scene import COMPLETED, Scene, shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_runs_outlast_what_stands_still(scene: Scene) -> None:
    """One's Redis and the other's rates take connections and say nothing: both ask again."""
    with shop(scene) as one, shop(scene) as two:
        with one.redis as connection:
            good = add(connection, one.client, map(row, range(100)))
            # Longer than an answer may take.
            connection.client_pause(12_000)
        with two.redis as connection:
            others = add(connection, two.client, map(row, range(100)))
        scene.rates.behave("hang", times=1)
        with two.running() as hanging, one.running() as paused:
            ended = [paused.wait(), hanging.wait()]

        assert [COMPLETED] * 2 == ended
        assert [expected(good), expected(others)] == [one.orders(), two.orders()]
