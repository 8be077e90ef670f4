"""Gauges that the user's own callables answer; one that raises or hangs costs its point alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial

from opentelemetry.instrumentation.utils import suppress_instrumentation

from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._meters.definitions import CIRCUIT_BREAKER, DEAD_LETTERS, Definition
from prefect_instrumentation._meters.instruments import Point, amount_of, process
from prefect_instrumentation._meters.labels import MAX_VALUES
from prefect_instrumentation._text import MAX_NAME, text

PATIENCE = 0.2
"""Seconds in which all callables of a gauge have to answer; the end of a process waits for them."""

STATES = ("closed", "open", "half_open")


@dataclass(slots=True)
class _Probe:
    """A callable, and its answer that is still due."""

    ask: Callable[[], object]
    pending: Future[object] | None = None
    asked_in: int = 0

    @property
    def hangs(self) -> bool:
        # In a forked child nobody is left to answer what its parent has asked.
        return self.asked_in == os.getpid() and bool(self.pending and not self.pending.done())

    def begin(self) -> Future[object]:
        self.pending, self.asked_in = Future(), os.getpid()
        # Not a pool's: Python waits for its threads at the end, and one of these may hang.
        threading.Thread(target=_answer, args=(self.ask, self.pending), daemon=True).start()
        return self.pending


def _answer(ask: Callable[[], object], answer: Future[object]) -> None:
    try:
        with suppress_instrumentation():  # to ask is no part of anybody's trace
            answer.set_result(ask())
    except BaseException as error:  # noqa: BLE001 - the user's own callable may do anything
        answer.set_exception(error)


@dataclass(slots=True)
class Gauge:
    """A gauge with a callable for each name.

    Args:
        definition: of the metric.
        points: makes the points of one name from what its callable has answered.
    """

    definition: Definition
    points: Callable[[str, object], Iterable[Point]]
    probes: dict[str, _Probe] = field(default_factory=dict)

    def register(self, name: str, ask: Callable[[], object]) -> Callable[[], None]:
        """Have the callable asked at each collection, in place of one of the same name.

        Returns:
            What ends this.
        """
        if not callable(ask):
            raise TypeError(
                f"the state of {name!r} is asked of a callable, not {type(ask).__name__}"
            )
        name = text(name, MAX_NAME)
        if name not in self.probes and len(self.probes) >= MAX_VALUES:
            once(
                self.definition.name,
                "Of %s no more than %d are read.",
                self.definition.name,
                MAX_VALUES,
            )
            return lambda: None
        probe = self.probes[name] = _Probe(ask)
        process.observe(self.definition, self.read)
        return partial(self._remove, name, probe)

    def read(self) -> list[Point]:
        """Return the points of all who answer in time."""
        asked = {}
        for name, probe in list(self.probes.items()):
            if not probe.hangs:
                asked[name] = guarded(probe.begin)()
        wait([answer for answer in asked.values() if answer], PATIENCE)
        return [point for name, answer in asked.items() for point in self._points(name, answer)]

    def _points(self, name: str, answer: Future[object] | None) -> Iterator[Point]:
        if answer is None or not answer.done() or answer.exception() is not None:
            once(
                f"{self.definition.name} {name}",
                "%s: no answer for %s.",
                self.definition.name,
                name,
            )
            return
        yield from guarded(self.points)(name, answer.result()) or ()

    def _remove(self, name: str, probe: _Probe) -> None:
        if self.probes.get(name) is probe:
            del self.probes[name]


def breaker_points(name: str, answer: object) -> list[Point]:
    """Return a point for each state: libraries write `half-open`, in capitals, or as an enum."""
    state = text(getattr(answer, "value", answer)).lower().replace("-", "_")
    if state not in STATES:
        once(f"{CIRCUIT_BREAKER.name} {name}", "%s is in a state other than %s.", name, STATES)
        return []
    return [(int(state == each), {"breaker": name, "state": each}) for each in STATES]


def letters_points(name: str, answer: object) -> list[Point]:
    """Return the point of a queue, if the answer is a number from 0 up."""
    depth = amount_of(answer)
    return [] if depth is None else [(depth, {"queue": name})]


breakers = Gauge(CIRCUIT_BREAKER, breaker_points)
dead_letters = Gauge(DEAD_LETTERS, letters_points)
