"""Fill Redis with pretend orders: `python -m etl.seed --client acme --orders 10000 --bad 0.02`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from redis import Redis

from etl.errors import EtlError
from etl.model import Reason, checked_client
from etl.rules import STATUSES
from etl.settings import load_settings
from etl.source import MAX_ROW_BYTES, asking, connect

_AT_A_TIME = 1_000
_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "SEK", "PLN")
_FAILED = 2

Order = dict[str, Any]


def _changed(**fields: object) -> Callable[[Order], bytes]:
    return lambda order: _json(order | fields)


def _without(field: str) -> Callable[[Order], bytes]:
    return lambda order: _json({name: value for name, value in order.items() if name != field})


def _json(order: object) -> bytes:
    return json.dumps(order).encode()


BAD: Mapping[Reason, Callable[[Order], bytes]] = {
    Reason.TOO_LARGE: _changed(note="x" * MAX_ROW_BYTES),
    Reason.NOT_JSON: lambda order: _json(order)[:-9],
    Reason.NOT_AN_OBJECT: lambda order: _json([order]),
    Reason.MISSING_FIELD: _without("customer"),
    Reason.WRONG_TYPE: _changed(amount="12.50"),
    Reason.TOO_LONG: _changed(customer="x" * 201),
    Reason.BAD_AMOUNT: _changed(amount=-1),
    Reason.BAD_CURRENCY: _changed(currency="euro"),
    Reason.BAD_TIME: _changed(ordered_at="yesterday"),
    Reason.UNKNOWN_STATUS: _changed(status="lost"),
}
"""How an order is spoiled so that it is rejected for each reason."""


def order(random: Random, now: datetime) -> Order:
    """Return one good order of the day before *now*."""
    ordered_at = now - timedelta(seconds=random.randrange(86_400))
    return {
        "order_id": f"{random.randrange(16**12):012x}",
        "customer": f"customer {random.randrange(10_000)}",
        "amount": round(random.uniform(1, 500), 2),
        "currency": random.choice(_CURRENCIES),
        "ordered_at": ordered_at.isoformat(timespec="seconds"),
        "status": random.choice(STATUSES),
    }


def pretend_orders(random: Random, now: datetime, bad: float) -> Iterator[bytes]:
    """Yield orders without end, of which the share *bad* is spoiled, by all kinds in turn."""
    kinds = 0
    while True:
        made = order(random, now)
        if random.random() < bad:
            spoil = tuple(BAD.values())[kinds % len(BAD)]
            kinds += 1
            yield spoil(made)
        else:
            yield _json(made)


def add(redis: Redis, client: str, orders: Iterable[bytes]) -> list[str]:
    """Append *orders* to the client's stream; return the ids that Redis gave them.

    Raises:
        SourceUnavailable: Redis did not answer.
    """
    key, ids, left = f"orders:{checked_client(client)}", [], iter(orders)
    while page := list(islice(left, _AT_A_TIME)):
        pipeline = redis.pipeline(transaction=False)
        for each in page:
            pipeline.xadd(key, {"order": each})
        with asking(f"XADD {key}"):
            ids += [row_id.decode() for row_id in pipeline.execute()]
    return ids


def main(argv: list[str] | None = None) -> int:
    """Add the orders that the arguments ask for, and say how many there are."""
    parser = argparse.ArgumentParser(prog="python -m etl.seed", description="Add pretend orders.")
    parser.add_argument("--client", required=True, help="whose orders they are")
    parser.add_argument("--orders", type=int, default=10_000, help="how many (default %(default)s)")
    parser.add_argument("--bad", type=float, default=0.02, help="share of bad ones (%(default)s)")
    parser.add_argument("--seed", type=int, help="for the same orders again")
    given = parser.parse_args(argv)
    orders = pretend_orders(Random(given.seed), datetime.now(UTC), given.bad)
    try:
        with connect(load_settings().redis_url) as redis:
            ids = add(redis, given.client, islice(orders, given.orders))
    except EtlError as error:
        print(error, file=sys.stderr)
        return _FAILED
    print(f"{len(ids)} orders added to orders:{given.client}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
