"""How much one caller may ask, and how often one address may guess."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import time
from collections.abc import Callable

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from trigger.problems import TooMany
from trigger.settings import Settings

log = logging.getLogger("trigger.limits")

BUCKETS = 256
"""Addresses share so many counters: whoever has many addresses cannot fill the memory."""

ANSWER_SECONDS = 1
"""How long a request waits for the Redis before this process counts for itself."""


class Limits:
    """Counters in a moving window, in this process or in a Redis that replicas share.

    While the Redis does not answer, this process counts for itself.

    Args:
        settings: The rates, and where to count.
        now: Seconds since the epoch.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._writes = parse(settings.rate_limit)
        self._reads = parse(settings.read_limit)
        self._guesses = parse(settings.wrong_key_limit)
        self._now = now
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._pool: ConnectionPool | None = None
        self._shared = self._own
        if (url := settings.limits_url.get_secret_value()) != "memory://":
            self._pool = ConnectionPool.from_url(
                url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
            )
            self._shared = MovingWindowRateLimiter(_storage(self._pool))

    async def close(self) -> None:
        """Let go of the Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def write(self, caller: str) -> None:
        """Count a start or a cancellation; raises `TooMany`."""
        await self._count(self._writes, "write", caller, "This key has asked too often")

    async def read(self, caller: str) -> None:
        """Count a look at a run; raises `TooMany`."""
        await self._count(self._reads, "read", caller, "This key has asked too often")

    async def guess(self, address: str) -> None:
        """Count a wrong key; raises `TooMany`. Right keys from there are not held up."""
        await self._count(self._guesses, "guess", bucket(address), "Too many wrong keys from there")

    async def _count(self, rate: RateLimitItem, *who_and_why: str) -> None:
        kind, who, why = who_and_why
        try:
            wait = await self._hit(self._shared, rate, kind, who)
        except StorageError as error:
            log.warning("limits.alone", extra={"problem": type(error.storage_error).__name__})
            wait = await self._hit(self._own, rate, kind, who)
        if wait:
            raise TooMany(f"{why}; the limit is {rate}", retry_after=wait)

    async def _hit(
        self, limiter: MovingWindowRateLimiter, rate: RateLimitItem, kind: str, who: str
    ) -> int:
        """Return 0 where one more is within the rate, else seconds until it is."""
        if await limiter.hit(rate, "trigger", kind, who):
            return 0
        until = (await limiter.get_window_stats(rate, "trigger", kind, who)).reset_time
        return max(1, math.ceil(until - self._now()))


def bucket(address: str) -> str:
    """Return the counter of an address; the /64 of an IPv6 address is one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        parsed = ipaddress.IPv4Address(0)
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = ipaddress.IPv6Address(int(parsed) >> 64 << 64)
    return str(int.from_bytes(hashlib.sha256(parsed.packed).digest()[:4]) % BUCKETS)


def _storage(pool: ConnectionPool) -> RedisStorage:
    return RedisStorage(
        "redis://",
        wrap_exceptions=True,
        implementation="redispy",
        connection_pool=pool,  # type: ignore[arg-type]  # it says so in its documentation
    )
