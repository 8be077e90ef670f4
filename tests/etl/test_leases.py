"""Who works on a chunk."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from redis import Redis

from demo.processes import free_port, wait_until
from etl.errors import SourceUnavailable
from etl.leases import Leases
from etl.model import Chunk, RowId
from etl.source import connect

pytestmark = pytest.mark.real

_CHUNK = Chunk(RowId(1, 0), RowId(2, 0), rows=2, bytes=2)
_OTHER = Chunk(RowId(3, 0), RowId(4, 0), rows=2, bytes=2)
_KEY = f"orders:acme:lease:{_CHUNK.name}"


def _leases(redis: Redis, seconds: float = 60) -> Leases:
    return Leases(redis, "acme", seconds)


def _run_out(redis: Redis) -> None:
    """Let the time of the lease pass."""
    assert redis.delete(_KEY)


def test_one_worker_has_a_chunk(redis: Redis) -> None:
    """While one has it no other gets it, neither from here nor from elsewhere; other chunks do."""
    here, there = _leases(redis), _leases(redis)
    lease = here.take(_CHUNK)

    assert lease
    assert (None, None) == (here.take(_CHUNK), there.take(_CHUNK))
    assert there.take(_OTHER)
    assert Leases(redis, "globex", 60).take(_CHUNK)


def test_lease_that_was_given_back_is_free(redis: Redis) -> None:
    """Also where the work within it failed."""
    leases = _leases(redis)
    lease = leases.take(_CHUNK)
    assert lease
    with pytest.raises(RuntimeError), lease:
        raise RuntimeError

    assert leases.take(_CHUNK)


def test_lease_of_a_dead_worker_runs_out(redis: Redis) -> None:
    """Redis ends it after its time; who has it then is told that somebody had it before."""
    first = _leases(redis).take(_CHUNK)
    assert first
    lasts = redis.pttl(_KEY)
    _run_out(redis)
    second = _leases(redis).take(_CHUNK)
    assert second

    assert 0 < lasts <= 60_000
    assert (1, 2) == (first.attempt, second.attempt)


def test_late_worker_takes_nothing_away(redis: Redis) -> None:
    """Who comes back after its lease ran out neither renews nor ends that of the next."""
    leases = _leases(redis)
    late = leases.take(_CHUNK)
    assert late
    _run_out(redis)
    assert leases.take(_CHUNK)
    renewed = late.renew()
    late.release()

    assert not renewed
    assert leases.take(_CHUNK) is None


def test_renewed_lease_lasts_anew(redis: Redis) -> None:
    """However much of its time has passed."""
    lease = _leases(redis).take(_CHUNK)
    assert lease
    redis.pexpire(_KEY, 20_000)

    assert lease.renew()
    assert 20_000 < redis.pttl(_KEY) <= 60_000


def test_lease_is_renewed_while_work_goes_on(redis: Redis) -> None:
    """A chunk that takes longer than the lease stays with whoever works on it."""
    lease = _leases(redis, seconds=3).take(_CHUNK)
    assert lease
    with lease:
        redis.pexpire(_KEY, 600_000)
        # Only a renewal makes it shorter than that.
        wait_until(lambda: redis.pttl(_KEY) <= 3_000, within=30, what="a renewal")

    assert not redis.exists(_KEY)


def test_redis_that_is_away_is_an_error() -> None:
    """Nobody works without having been given a lease."""
    with (
        connect(SecretStr(f"redis://127.0.0.1:{free_port()}/0")) as nowhere,
        pytest.raises(SourceUnavailable, match="lease"),
    ):
        _leases(nowhere).take(_CHUNK)


def test_redis_that_goes_away_meanwhile_ends_no_work(redis: Redis, redis_url: str) -> None:
    """Neither renewing nor giving back fails: a lease only saves work."""
    with connect(SecretStr(redis_url)) as own:
        lease = _leases(own).take(_CHUNK)
        assert lease
        own.connection_pool.connection_kwargs["port"] = free_port()
        own.connection_pool.reset()
        with lease:
            renewed = lease.renew()

    assert not renewed
    assert redis.exists(_KEY)
