"""Who works on which chunk, so that workers that share a batch do not do the same twice.

A lease saves work and no more: what is written stays exact without it, by the names of the files.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from redis import Redis, RedisError
from redis.exceptions import LockError
from redis.lock import Lock

from etl.model import Chunk, checked_client
from etl.source import asking

_DAY_SECONDS = 86_400


class Lease:
    """The right to work on a chunk; as a context manager it is renewed meanwhile, then given back.

    Args:
        lock: The lock in Redis, held.
        seconds: How long it lasts without being renewed.
        attempt: 1 for the chunk's first lease; more where somebody had it before.
    """

    def __init__(self, lock: Lock, seconds: float, attempt: int) -> None:
        self.attempt = attempt
        self._lock = lock
        self._seconds = seconds
        self._done = Event()
        self._renewer = Thread(target=self._renew_until_done, name="lease", daemon=True)

    def __enter__(self) -> Self:
        """Begin to renew it."""
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back, unless another holds it by now."""
        self._done.set()
        self._renewer.join()
        self.release()

    def renew(self) -> bool:
        """Let it last its whole time again; return False where it ran out, or Redis is away."""
        try:
            return bool(self._lock.reacquire())
        except (LockError, RedisError):
            return False

    def release(self) -> None:
        """Give it back; where that is not possible it runs out by itself."""
        with suppress(LockError, RedisError):
            self._lock.release()

    def _renew_until_done(self) -> None:
        while not self._done.wait(self._seconds / 3):
            self.renew()


class Leases:
    """The leases on the chunks of one client.

    Args:
        redis: Where they are kept.
        client: Whose chunks they are on.
        seconds: How long a lease lasts that is not renewed, as its holder was killed.
    """

    def __init__(self, redis: Redis, client: str, seconds: float) -> None:
        self._redis = redis
        self._prefix = f"orders:{checked_client(client)}:lease:"
        self._seconds = seconds

    def take(self, chunk: Chunk) -> Lease | None:
        """Return a lease on *chunk*, or None while another has it.

        Raises:
            SourceUnavailable: Redis did not answer.
        """
        key = f"{self._prefix}{chunk.name}"
        lock = Lock(self._redis, key, timeout=self._seconds, blocking=False, thread_local=False)
        with asking(f"SET {key} NX"):
            if not lock.acquire():
                return None
            attempt = self._redis.incr(f"{key}:attempts")
            self._redis.expire(f"{key}:attempts", _DAY_SECONDS)
        return Lease(lock, self._seconds, int(attempt))
