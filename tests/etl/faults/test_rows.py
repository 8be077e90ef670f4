"""Rows that are not as they should be."""

from __future__ import annotations

import json

import pytest

from order_lakes import expected, reasons
from order_rows import HOSTILE, TEN, add, row
from order_scene import COMPLETED, Shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BAD = {**TEN, **HOSTILE}


def test_bad_rows_are_told_apart_and_come_back(acme: Shop) -> None:
    """Each is rejected for its reason and stops no other; what is mended is loaded once."""
    with acme.redis as connection:
        good = add(connection, acme.client, map(row, range(100)))
        ids = add(connection, acme.client, (each.raw for each in BAD.values()))
        good += add(connection, acme.client, map(row, range(100, 200)))
    ended = acme.run(env={"ETL_MAX_REJECTED": "0.1"})
    loaded, found = acme.orders(), reasons(acme.lake, acme.client)
    with acme.redis as connection:
        letters = connection.hgetall(f"orders:{acme.client}:dead")
    pairs = list(zip(ids, BAD.values(), strict=True))
    mended = {name: each.mend for name, each in pairs if each.mend}
    replayed = acme.run("replay-dead-letters", corrections=mended)

    assert ("FAILED", expected(good, ids)) == (ended.type, loaded)
    assert f"{len(ids)} of {len(good + ids)} rows were rejected, more than 10%" in ended.message
    due = {name: each.reason for name, each in pairs}
    assert due == found
    assert due == {name.decode(): json.loads(letter)["reason"] for name, letter in letters.items()}
    assert (COMPLETED, expected(good, ids, mended)) == (replayed, acme.orders())
