"""The flow that brings dead letters back: corrected rows are loaded, once, and told of."""

from __future__ import annotations

import pytest

from order_lakes import expected
from order_rows import TEN, add
from order_scene import Shop
from order_telemetry import WatchedScene, comes, last, totals, trace_of, watched_shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

FLOW = "replay-dead-letters"


def fill(shop: Shop) -> list[str]:
    """Load two bad rows, which become dead letters; return their ids."""
    with shop.redis as connection:
        bad = add(connection, shop.client, [TEN["bad_amount"].raw, TEN["not_an_object"].raw])
    assert "COMPLETED" == shop.run().type
    return bad


def test_corrected_row_is_loaded_once(scene: WatchedScene) -> None:
    """However often the replay runs; a letter that nobody corrects stays where it is."""
    receiver = scene.receiver
    with watched_shop(scene, "corrected") as shop:
        bad = fill(shop)
        outcomes = [
            shop.run(FLOW, corrections={bad[0]: {"amount": 5}}).type,
            shop.run(FLOW, corrections={bad[0]: {"amount": 7}, "no-id": {"amount": 1}}).type,
        ]

        assert ["COMPLETED", "COMPLETED"] == outcomes
        assert expected([], bad, bad[:1]) == shop.orders()
        spans = trace_of(receiver, shop.client, flow=FLOW, runs=2)
        assert {"task settle", "task rates", "task replay"} <= {each.name for each in spans}
        comes(
            lambda: (
                totals(receiver, "etl_rows_total", "client", "outcome").get(
                    (shop.client, "replayed")
                )
                == 1
            ),
            "the replayed row",
        )
        comes(
            lambda: last(receiver, "prefect_sdk_dead_letters", queue=f"orders:{shop.client}") == 1,
            "the depth of what is left",
        )
