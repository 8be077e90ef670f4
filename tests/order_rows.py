"""Orders as clients send them: good ones, and each kind of bad one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import redis


@dataclass(frozen=True, slots=True)
class Bad:
    """One bad row: what is in the stream, why it is rejected, and what mends it.

    Args:
        mend: Fields that make it good, the whole order where it is no object; None for never.
    """

    raw: bytes
    reason: str
    mend: Mapping[str, object] | None = None


def good(number: int, **fields: object) -> dict[str, object]:
    """Return an order that is as it should be, or not where *fields* say otherwise."""
    return {
        "order_id": f"o-{number}",
        "customer": f"customer {number % 97}",
        "amount": 1 + number % 5000 / 100,
        "currency": ("EUR", "USD", "GBP")[number % 3],
        "ordered_at": "2026-11-21T09:30:00Z",
        "status": ("new", "paid", "shipped", "cancelled")[number % 4],
    } | fields


def row(number: int, **fields: object) -> bytes:
    """Return `good` as it stands in a stream."""
    return json.dumps(good(number, **fields)).encode()


def _without(name: str) -> bytes:
    fields = good(1)
    del fields[name]
    return json.dumps(fields).encode()


TEN = {
    "not_json": Bad(b'{"order_id": "o-1", ', "not_json", good(1)),
    "not_an_object": Bad(b'["o-1", "EUR"]', "not_an_object"),
    "missing_field": Bad(_without("amount"), "missing_field", {"amount": 3}),
    "wrong_type": Bad(row(1, customer=17), "wrong_type", {"customer": "17"}),
    "bad_amount": Bad(row(1, amount=-5), "bad_amount", {"amount": 5}),
    "bad_currency": Bad(row(1, currency="eur"), "bad_currency", {"currency": "EUR"}),
    "bad_time": Bad(
        row(1, ordered_at="yesterday"), "bad_time", {"ordered_at": "2026-11-21T08:00:00Z"}
    ),
    "unknown_status": Bad(row(1, status="lost"), "unknown_status", {"status": "paid"}),
    "too_long": Bad(row(1, order_id="o" * 65), "too_long", {"order_id": "o-1"}),
    "too_large": Bad(row(1, note="x" * 2_000_000), "too_large", good(1)),
}
"""Each reason once."""

HOSTILE = {
    "nothing": Bad(b"", "not_json"),
    "deep nesting": Bad(b"[" * 50_000, "not_json"),
    "deep value": Bad(row(1, customer=[]).replace(b"[]", b"[" * 5000 + b"]" * 5000), "not_json"),
    "a huge integer": Bad(
        row(1, amount=0).replace(b'"amount": 0', b'"amount": ' + b"9" * 5000), "bad_amount"
    ),
    "NaN": Bad(row(1, amount=float("nan")), "bad_amount"),
    "infinity": Bad(row(1, amount=1e400), "bad_amount"),
    "no UTF-8": Bad(b'{"order_id": "\xff\xfe"}', "not_json"),
    "a lone surrogate": Bad(row(1).replace(b"customer 1", b"\\ud800"), "wrong_type"),
    "true for a number": Bad(row(1, amount=True), "wrong_type"),
    "null": Bad(b"null", "not_an_object"),
    "the future": Bad(row(1, ordered_at="2999-01-01T00:00:00Z"), "bad_time"),
    "too much": Bad(row(1, amount=1e9 + 1), "bad_amount"),
    "no zone": Bad(row(1, ordered_at="2026-11-21T08:00:00"), "bad_time"),
}
"""What somebody who wants the worker to die would send."""


def add(connection: redis.Redis, client: str, rows: Iterable[bytes]) -> list[str]:
    """Append rows to a client's stream; return their ids in order."""
    with connection.pipeline(transaction=False) as pipe:
        for each in rows:
            pipe.xadd(f"orders:{client}", {"order": each})
        return [found.decode() for found in pipe.execute()]
