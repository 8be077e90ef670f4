"""A rates service that is down, slow, or says what it should not."""

from __future__ import annotations

import pytest

from demo.processes import free_port
from order_lakes import Orders, expected
from order_rows import add, row
from order_scene import COMPLETED, Shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def _fill(shop: Shop) -> list[str]:
    with shop.redis as connection:
        return add(connection, shop.client, map(row, range(100)))


@pytest.mark.parametrize("kind", ["error", "busy", "garbage"])
def test_run_asks_again_where_that_may_help(acme: Shop, kind: str) -> None:
    """One bad answer costs another attempt, and no row."""
    good = _fill(acme)
    acme.scene.rates.behave(kind, times=1)
    ended = acme.run()

    assert (COMPLETED, expected(good)) == (ended, acme.orders())


def test_request_that_is_refused_is_not_repeated(acme: Shop) -> None:
    """What is wrong with us stays wrong: one request, and an error that names the setting."""
    good = _fill(acme)
    before = acme.scene.rates.asked()
    acme.scene.rates.behave("refused")
    refused = acme.run()
    asked = acme.scene.rates.asked() - before
    acme.scene.rates.behave()
    ended = acme.run()

    assert ("FAILED", 1) == (refused.type, asked)
    assert "ETL_RATES_URL" in refused.message
    assert (COMPLETED, expected(good)) == (ended, acme.orders())


def test_breaker_spares_a_service_that_stays_broken(acme: Shop) -> None:
    """It opens after so many failures, closes when the service is back, and costs no row."""
    good = _fill(acme)
    rates = acme.scene.rates
    long = {"ETL_BREAKER_SECONDS": "600", "ETL_BREAKER_FAILURES": "2"}
    down = acme.run(env={**long, "ETL_RATES_URL": f"http://127.0.0.1:{free_port()}"})
    before = rates.asked()
    spared = acme.run(env=long)
    asked, seen = rates.asked() - before, acme.orders()
    ended = acme.run(env={**long, "ETL_BREAKER_SECONDS": "0.1"})

    assert ["FAILED", "FAILED"] == [down.type, spared.type]
    assert (0, True) == (asked, "not asked before" in spared.message)
    assert Orders(()) == seen
    assert (COMPLETED, expected(good)) == (ended, acme.orders())
