"""Runs that are killed in the middle, and runs that are there twice: no row lost, none doubled."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from order_lakes import Orders, expected
from order_rows import TEN, add, row
from order_runs import Moment
from order_scene import COMPLETED, Shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_BAD = (TEN["bad_amount"].raw, TEN["not_json"].raw)


def _fill(shop: Shop) -> tuple[list[str], list[str]]:
    """Add a batch of some rows; return the ids of good and of bad ones."""
    with shop.redis as connection:
        good = add(connection, shop.client, map(row, range(200)))
        return good, add(connection, shop.client, _BAD)


def test_every_killed_run_is_taken_up_where_it_was(acme: Shop) -> None:
    """Kills before anything is checked, and between a chunk's two files: the third run ends it."""
    shop = acme
    good, bad = _fill(shop)
    seen = []
    for moment in (Moment.SPOOLED, Moment.REJECTED):
        shop.kill(moment)
        seen.append(shop.orders())
    ended = shop.run()

    assert [Orders(()), Orders(())] == seen
    assert (COMPLETED, expected(good, bad)) == (ended, shop.orders())
    assert [] == shop.leftovers()


def test_lease_of_a_dead_run_is_taken_over(acme: Shop) -> None:
    """A run that stands still keeps its chunk no longer than its lease, and wakes too late."""
    shop = acme
    good, bad = _fill(shop)
    with shop.running(moment=Moment.SPOOLED, what=signal.SIGSTOP) as first:
        first.halted()
        other = shop.run()
        between = shop.orders()
        first.go_on()
        ended = first.wait()

    done = expected(good, bad)
    assert (COMPLETED, done) == (other, between)
    assert (COMPLETED, done) == (ended, shop.orders())
    assert [] == shop.leftovers()


def test_two_runs_of_one_client_share_its_batch(acme: Shop) -> None:
    """Both end well, each row is there once, and a third run finds nothing to do."""
    shop, small = acme, {"ETL_MEMORY_MIB": "16"}
    with shop.redis as connection:
        good = add(connection, shop.client, (row(n, note="x" * 10_000) for n in range(400)))
        bad = add(connection, shop.client, _BAD)
    with shop.running(env=small) as one, shop.running(env=small) as two:
        ended = [one.wait(), two.wait()]
    shared, parts = shop.orders(), sorted(shop.lake.glob("*/part-*.parquet"))
    again = shop.run(env=small)

    done = expected(good, bad)
    assert ([COMPLETED, COMPLETED], done) == (ended, shared)
    assert len(parts) > 2
    assert (COMPLETED, done) == (again, shop.orders())
    assert parts == sorted(shop.lake.glob("*/part-*.parquet"))


def test_killed_replay_doubles_nothing(acme: Shop) -> None:
    """Killed before its file is there, then before the letters are gone: each row is back once."""
    shop = acme
    good, bad = _fill(shop)
    shop.run()
    corrections = {bad[0]: {"amount": 5}}
    seen = []
    for moment in (Moment.REPLAYING, Moment.REPLAYED):
        shop.kill(moment, "replay-dead-letters", corrections=corrections)
        seen.append(shop.orders())
    ended = [shop.run("replay-dead-letters", corrections=corrections) for _ in range(2)]

    unmended = expected(good, bad)
    back = replace(unmended, replayed=(bad[0],))
    assert [unmended, back] == seen
    assert [COMPLETED, COMPLETED] == ended
    assert expected(good, bad, back=bad[:1]) == shop.orders()
