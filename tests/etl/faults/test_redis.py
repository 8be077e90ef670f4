"""A Redis that is down, slow, or has lost what it held."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from order_lakes import expected
from order_rows import TEN, add, row
from order_runs import Moment
from order_scene import COMPLETED, Shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def _fill(shop: Shop, rows: int = 500) -> list[str]:
    with shop.redis as connection:
        return add(connection, shop.client, map(row, range(rows)))


def test_run_waits_for_a_redis_that_is_down(acme: Shop) -> None:
    """Down when the run begins, and again before its last word: it ends well, each row is once."""
    good = _fill(acme)
    with acme.redis as connection:
        bad = add(connection, acme.client, [TEN["bad_amount"].raw])
    acme.server.process.kill()
    with acme.running(moment=Moment.PART, what=signal.SIGSTOP) as run:
        run.retried()
        acme.server.process.restart()
        run.halted()
        acme.server.process.kill()
        run.go_on()
        run.retried()
        acme.server.process.restart()
        ended = run.wait()

    assert (COMPLETED, expected(good, bad)) == (ended, acme.orders())


def test_rows_that_redis_has_lost_are_named(acme: Shop) -> None:
    """All is gone in a batch's middle: what was committed stays once, and the run says what is not.

    The next run says it once more, loads what was added since, and writes dead letters anew.
    """
    first = _fill(acme)
    with acme.redis as connection:
        bad = add(connection, acme.client, [TEN["bad_amount"].raw])
    acme.run()
    lost = _fill(acme)
    with acme.running(moment=Moment.PLANNED, what=signal.SIGSTOP) as run:
        run.halted()
        acme.lose_redis()
        run.go_on()
        ended = run.wait()
    seen = acme.orders()
    added = _fill(acme, 50)
    without, again = acme.run(), acme.run()

    named = f"{len(lost)} in {lost[0]}-{lost[-1]}"
    assert ["FAILED", "FAILED"] == [ended.type, without.type]
    assert [True, True] == [named in ended.message, named in without.message]
    assert replace(expected(first, bad), letters=()) == seen
    assert (COMPLETED, expected(first + added, bad)) == (again, acme.orders())


def test_rows_of_a_clock_that_was_set_back_are_not_left_out_silently(acme: Shop) -> None:
    """A Redis that began anew gives ids below what is loaded: the run says which nobody read."""
    good = _fill(acme)
    acme.run()
    with acme.redis as connection:
        connection.flushall()
        connection.xadd("orders:acme", {"order": row(1)}, id="1000-0")
    ended = acme.run()

    assert ("FAILED", True) == (ended.type, "1 rows from 1000-0 to 1000-0" in ended.message)
    assert expected(good) == acme.orders()
