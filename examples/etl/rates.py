"""Exchange rates of a day from the outside service, behind a breaker that all workers share.

EtlError
├── RatesUnavailable   no usable answer; asking again may help     day; the cause says why
│   └── RatesMalformed   an answer, but not the day's rates        problem
├── RatesRefused       our request was wrong: asking again is vain day, status
└── RatesClosed        the breaker is open: nobody is asked        until
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import httpx
from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitRedisStorage,
)
from redis import Redis

from etl.errors import EtlError
from etl.meters import RECOVERIES
from etl.settings import Settings
from etl.source import asking

BREAKER = "etl-rates"
_NAMESPACE = "etl:rates"
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_ANSWER_SECONDS = 30.0
_MOST_BYTES = 1_000_000
_MOST_RATES = 1_000
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
# What the client did is not what these say; all else from 400 to 499 is our fault.
_BUSY = frozenset({408, 425, 429})

_log = logging.getLogger(__name__)


class RatesUnavailable(EtlError):
    """The service gave no usable answer; its cause is what httpx says."""

    def __init__(self, day: str) -> None:
        super().__init__(f"the rates of {day} cannot be had")
        self.day = day

    def __reduce__(self) -> tuple[type[RatesUnavailable], tuple[str, ...]]:
        return type(self), (self.day,)


class RatesMalformed(RatesUnavailable, ConnectionError):
    """What the service answered is not the rates of that day."""

    def __init__(self, day: str, problem: str) -> None:
        EtlError.__init__(self, f"the rates of {day} make no sense: {problem}")
        self.day = day
        self.problem = problem

    def __reduce__(self) -> tuple[type[RatesUnavailable], tuple[str, ...]]:
        return type(self), (self.day, self.problem)


class RatesRefused(EtlError):
    """The service says that our request is wrong."""

    def __init__(self, day: str, status: int) -> None:
        super().__init__(
            f"the rates of {day} were refused with HTTP {status}; is ETL_RATES_URL right?"
        )
        self.day = day
        self.status = status

    def __reduce__(self) -> tuple[type[RatesRefused], tuple[str, int]]:
        return type(self), (self.day, self.status)


class RatesClosed(EtlError, ConnectionError):
    """The service failed so often that it is left in peace until a moment, in UTC."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"the rates service failed too often, and is not asked before {until:%H:%M:%S} UTC"
        )
        self.until = until

    def __reduce__(self) -> tuple[type[RatesClosed], tuple[datetime]]:
        return type(self), (self.until,)


class _Changes(CircuitBreakerListener):
    """Logs each change of state, and counts how trials of a broken service ended."""

    def state_change(
        self,
        cb: CircuitBreaker,
        old_state: CircuitBreakerState | None,
        new_state: CircuitBreakerState,
    ) -> None:
        old = old_state.name if old_state else ""
        _log.warning(
            "breaker.changed", extra={"breaker": cb.name, "old": old, "new": new_state.name}
        )
        if old == STATE_HALF_OPEN and new_state.name in {STATE_CLOSED, STATE_OPEN}:
            outcome = "recovered" if new_state.name == STATE_CLOSED else "failed"
            RECOVERIES.add(step="breaker", outcome=outcome)


def make_breaker(redis: Redis, settings: Settings) -> CircuitBreaker:
    """Return this process' view of the breaker, whose state is in Redis.

    It opens after `settings.breaker_failures` failures in a row, whoever of the workers had them,
    and lets one call through after `settings.breaker_seconds`.

    Raises:
        SourceUnavailable: Redis did not answer. Once made, a breaker without Redis is closed.
    """
    with asking("the state of the breaker"):
        storage = CircuitRedisStorage(STATE_CLOSED, redis, namespace=_NAMESPACE)
    return CircuitBreaker(
        fail_max=settings.breaker_failures,
        reset_timeout=settings.breaker_seconds,
        exclude=[RatesRefused],
        listeners=[_Changes()],
        state_storage=storage,
        name=BREAKER,
        throw_new_error_on_trip=False,
    )


def rates_of(day: date, http: httpx.Client, breaker: CircuitBreaker) -> dict[str, float]:
    """Return how many euros one unit of each currency was worth on that day.

    Raises:
        RatesClosed: The breaker is open; nothing was sent.
        RatesUnavailable: No usable answer.
        RatesRefused: The service blames the request.
    """
    try:
        return breaker.call(_ask, day.isoformat(), http)
    except CircuitBreakerError as error:
        raise RatesClosed(_until(breaker)) from error


def open_http(url: str) -> httpx.Client:
    """Return a client of the service at *url*; the caller closes it."""
    return httpx.Client(base_url=url, timeout=_TIMEOUT)


def _until(breaker: CircuitBreaker) -> datetime:
    opened = breaker._state_storage.opened_at  # noqa: SLF001 - pybreaker has no other way to it
    return (opened or datetime.now(UTC)) + timedelta(seconds=breaker.reset_timeout)


def _ask(day: str, http: httpx.Client) -> dict[str, float]:
    try:
        with http.stream("GET", f"/rates/{day}") as response:
            if response.is_client_error and response.status_code not in _BUSY:
                raise RatesRefused(day, response.status_code)
            response.raise_for_status()
            body = _bounded(day, response)
    except httpx.HTTPError as error:
        raise RatesUnavailable(day) from error
    return read_rates(day, body)


def _bounded(day: str, response: httpx.Response, seconds: float = _ANSWER_SECONDS) -> bytes:
    body, until = bytearray(), time.monotonic() + seconds
    for part in response.iter_bytes():
        body += part
        if time.monotonic() > until:  # what httpx bounds is the wait for the next byte
            raise httpx.ReadTimeout("the answer takes too long")
        if len(body) > _MOST_BYTES:
            raise RatesMalformed(day, f"more than {_MOST_BYTES} bytes")
    return bytes(body)


def read_rates(day: str, body: bytes) -> dict[str, float]:
    """Return euros per unit from an answer: `{"base": "EUR", "day": "2026-11-22", "rates": {}}`.

    What the service says is how many units one euro buys.

    Raises:
        RatesMalformed: It is anything else.
    """
    told = None
    with suppress(ValueError, RecursionError):
        told = json.loads(body)
    if not isinstance(told, dict) or told.get("base") != "EUR" or told.get("day") != day:
        raise RatesMalformed(day, "not a day's rates as JSON, with base EUR")
    rates = told.get("rates")
    if not isinstance(rates, dict) or not 0 < len(rates) <= _MOST_RATES:
        raise RatesMalformed(day, f"not from 1 to {_MOST_RATES} rates")
    if not all(_CURRENCY.fullmatch(name) and _is_rate(rate) for name, rate in rates.items()):
        raise RatesMalformed(day, "a rate that is none")
    return {name: 1 / rate for name, rate in rates.items()} | {"EUR": 1.0}


def _is_rate(rate: object) -> bool:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        return False
    with suppress(OverflowError):  # a whole number of a thousand digits
        return math.isfinite(rate) and math.isfinite(1 / rate)
    return False
