"""What the pipeline of the Compose stack has to load: each client orders something."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from random import Random

from prefect import flow

from demo.pipeline import CLIENTS
from etl.seed import add, pretend_orders
from etl.settings import load_settings
from etl.source import Source, connect

_KEPT = 20_000
"""Orders of each client in Redis: many times what comes between two nights of the demo."""


@flow(name="pretend-orders")
def pretend(orders: int = 500, bad: float = 0.02) -> None:
    """Have each client order something, now and then in a way that nobody understands.

    Args:
        orders: Of each client.
        bad: The share that cannot be used.
    """
    made = pretend_orders(Random(), datetime.now(UTC), bad)
    with connect(load_settings().redis_url) as redis:
        for client in (name for names in CLIENTS.values() for name in names):
            add(redis, client, islice(made, orders))
            redis.xtrim(Source(redis, client).key, maxlen=_KEPT)
