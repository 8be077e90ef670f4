"""Meters for the user's own code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from prefect_instrumentation._guard import once
from prefect_instrumentation._meters import gauges
from prefect_instrumentation._meters.definitions import DURATIONS, Definition
from prefect_instrumentation._meters.instruments import amount_of, process
from prefect_instrumentation._meters.timing import Timing, begin, outcome_of, timed

T = TypeVar(
    "T", bound="Callable[..., object] | classmethod[Any, Any, Any] | staticmethod[Any, Any]"
)

RESERVED = "prefect_"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,199}")
_UNIT = re.compile(r"[!-~]{0,63}")

_kinds: dict[str, str] = {}
_starts: ContextVar[tuple[tuple[Timer, float], ...]] = ContextVar(
    "prefect_instrumentation_timers", default=()
)


@dataclass(frozen=True)
class Counter:
    """A number that only grows; `counter` makes it."""

    definition: Definition

    def add(self, amount: float = 1, /, **labels: object) -> None:
        """Add to it. It never raises.

        Args:
            amount: finite, from 0 up.
            labels: few, and of few values each: a hundred of them are told apart in a process.
        """
        if (number := amount_of(amount)) is None:
            name = self.definition.name
            once(name, "Counter %s takes finite numbers from 0 up; another was ignored.", name)
            return
        process.record(self.definition, number, labels)


@dataclass(frozen=True)
class Timer:
    """A histogram of seconds: a context manager, and a decorator; `timer` makes it."""

    definition: Definition
    labels: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __enter__(self) -> None:
        _starts.set((*_starts.get(), (self, time.perf_counter())))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        open_ones = _starts.get()
        # A generator may have been suspended within another block, which then ends first.
        for place in reversed(range(len(open_ones))):
            if open_ones[place][0] is self:
                _starts.set((*open_ones[:place], *open_ones[place + 1 :]))
                labels = {**self.labels, "outcome": outcome_of(error)}
                process.record(self.definition, time.perf_counter() - open_ones[place][1], labels)
                return

    def __call__(self, target: T, /) -> T:
        """Time each call of a function, method, flow or task of any kind."""
        return timed("timer()", partial(_begin, self), target)  # type: ignore[no-any-return]  # it is T


def counter(name: str, *, description: str = "", unit: str = "") -> Counter:
    """Return a counter of the user's own.

    Args:
        name: as Prometheus will have it: letters, digits and `_`; it gets `_total` if it lacks it.
        description: one sentence.
        unit: as UCUM has it, such as `By` or `{order}`.

    Raises:
        ValueError: the name is none, begins with `prefect_`, or is a timer's; or the unit is none.
    """
    return Counter(_define(Definition(name, "counter", unit, description)))


def timer(name: str, *, description: str = "", labels: Mapping[str, object] | None = None) -> Timer:
    """Return a timer of the user's own, for a `with` statement or as a decorator.

    Each point has the label `outcome`: `success`, `failure` or `cancelled`.

    Args:
        name: as Prometheus will have it; it gets `_seconds` if it lacks it.
        description: one sentence.
        labels: of each point.

    Raises:
        ValueError: the name is none, begins with `prefect_`, or is a counter's; or a label is
            called `outcome`.
    """
    if labels and "outcome" in labels:
        raise ValueError(f"timer {name!r}: the label 'outcome' says how the timed code ended")
    definition = Definition(name, "histogram", "s", description, buckets=DURATIONS)
    return Timer(_define(definition), dict(labels or {}))


def measured(target: T, /) -> T:
    """Time each call of a function, by function and outcome.

    Stands above or below `@flow`, `@task` and `@traced`; each attempt of a run is a call.

    Raises:
        TypeError: `target` is nothing that can be called, or a class.
    """
    return timed("measured", begin, target)  # type: ignore[no-any-return]  # it is T


def register_circuit_breaker(name: str, state: Callable[[], object]) -> Callable[[], None]:
    """Have a circuit breaker's state read at each collection.

    Args:
        name: of the breaker.
        state: returns `closed`, `open` or `half_open`; 0.2 s are all that it may take.

    Returns:
        What ends this.

    Raises:
        TypeError: `state` is no callable.
    """
    return gauges.breakers.register(name, state)


def register_dead_letters(name: str, depth: Callable[[], object]) -> Callable[[], None]:
    """Have the depth of a dead-letter queue read at each collection.

    Args:
        name: of the queue.
        depth: returns how many messages are in it; 0.2 s are all that it may take.

    Returns:
        What ends this.

    Raises:
        TypeError: `depth` is no callable.
    """
    return gauges.dead_letters.register(name, depth)


def _begin(of: Timer, *_: object) -> Timing:
    return Timing(of.definition, of.labels)


def _define(definition: Definition) -> Definition:
    name = definition.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no metric's name: a letter, then letters, digits and '_'")
    if name.lower().startswith(RESERVED):
        raise ValueError(f"metric {name!r}: names that begin with {RESERVED!r} are taken")
    if not _UNIT.fullmatch(definition.unit):
        raise ValueError(f"metric {name!r}: a unit is at most 63 ASCII characters without spaces")
    if (kind := _kinds.setdefault(name.lower(), definition.kind)) != definition.kind:
        raise ValueError(f"metric {name!r} is a {kind} already")
    return definition
