"""What every step needs of the outside, made once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import SecretStr
from redis import Redis

from etl import dead_letters, source
from etl.lake import Lake
from etl.leases import Leases
from etl.meters import start_counting
from etl.rates import BREAKER, make_breaker
from etl.settings import Settings, load_settings
from etl.source import Source
from prefect_instrumentation import register_circuit_breaker, register_dead_letters


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where one client's orders come from, and where they go."""

    settings: Settings
    redis: Redis
    source: Source
    lake: Lake

    @property
    def leases(self) -> Leases:
        """Who works on which chunk."""
        return Leases(self.redis, self.lake.client, self.settings.lease_seconds)


def open_workplace(client: str) -> Workplace:
    """Return the place by the environment as it is now.

    Raises:
        BadSetting: A variable cannot be used.
        BadClient: The name is none that a client can have.
    """
    settings = load_settings()
    lake = Lake(settings.destination, client)
    redis = open_redis(settings.redis_url)
    return Workplace(settings, redis, Source(redis, client), lake)


@cache
def open_redis(url: SecretStr) -> Redis:
    """Return the process' connections to that Redis; they are used until its end."""
    return source.connect(url)


def watch(place: Workplace) -> None:
    """Have the breaker's state and the client's dead letters read whenever metrics are sent.

    They stay registered: a process sends its metrics at its end, when the flow is long over.
    """
    client, redis = place.lake.client, place.redis
    start_counting(client)
    register_circuit_breaker(BREAKER, lambda: make_breaker(redis, place.settings).current_state)
    register_dead_letters(f"orders:{client}", lambda: dead_letters.count(redis, client))
