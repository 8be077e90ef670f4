"""OpenTelemetry's instruments, each made when it is first used and once a process."""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from prefect_instrumentation import __version__, _provider
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._meters.definitions import Definition
from prefect_instrumentation._meters.labels import Bounds

MAX_AMOUNT = 2**53
"""Above this Prometheus no longer counts exactly, and OTLP's integers overflow before long."""

Record: TypeAlias = Callable[[float, dict[str, str], Context | None], None]
Point: TypeAlias = tuple[float, Mapping[str, object]]


class Instruments:
    """The metrics of one meter.

    Args:
        make_meter: called before an instrument is made.
        get_ready: called before something is recorded for the first time.
    """

    def __init__(
        self, make_meter: Callable[[], Meter], get_ready: Callable[[], object] = lambda: None
    ) -> None:
        self._make_meter = make_meter
        self._get_ready = get_ready
        self._bounds = Bounds()
        self._made: dict[str, Record] = {}
        self._observed: set[str] = set()
        self.renew()

    def renew(self) -> None:
        """Have a new lock, since another thread may have held it as this process was forked."""
        self._lock = threading.Lock()

    @guarded
    def record(
        self,
        definition: Definition,
        amount: float,
        labels: Mapping[str, object],
        context: Context | None = None,
    ) -> None:
        """Add to a counter, or record in a histogram.

        Args:
            definition: of the metric.
            amount: finite, from 0 up.
            labels: of the point; their values are bounded here.
            context: whose span leads from the point to its trace; the current one by default.
        """
        record = self._made.get(definition.name) or self._make(definition)
        record(amount, self._bounds.bounded(definition.name, labels), context)

    @guarded
    def observe(self, definition: Definition, read: Callable[[], Iterable[Point]]) -> None:
        """Have a gauge read at each collection; only the first reader of a gauge counts."""

        def observations(_: CallbackOptions) -> list[Observation]:
            return [
                Observation(value, self._bounds.bounded(definition.name, labels))
                for value, labels in read()
            ]

        with self._lock:
            if definition.name in self._observed:
                return
            self._observed.add(definition.name)
        self._make_meter().create_observable_gauge(
            definition.name, [observations], definition.unit, definition.description
        )

    def _make(self, definition: Definition) -> Record:
        self._get_ready()  # not within the lock: it may take those of the providers
        with self._lock:
            record = self._made.get(definition.name)
            if record is None:
                record = self._made[definition.name] = _instrument(self._make_meter(), definition)
        return record


def amount_of(value: object) -> float | None:
    """Return what may be recorded: a finite number from 0 up, NumPy's too; None if it is none."""
    try:
        amount = _number(value)
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return None
    return min(amount, MAX_AMOUNT) if 0 <= amount < math.inf else None


def _number(value: Any) -> float:  # noqa: ANN401 - it raises if it is none
    try:
        return operator.index(value)
    except TypeError:
        return float(value)


def _instrument(meter: Meter, definition: Definition) -> Record:
    common = (definition.name, definition.unit, definition.description)
    if definition.kind == "counter":
        return meter.create_counter(*common).add
    buckets = list(definition.buckets)
    return meter.create_histogram(*common, explicit_bucket_boundaries_advisory=buckets).record


process = Instruments(
    lambda: metrics.get_meter("prefect_instrumentation", __version__),
    # A user's own counter may well be the first to need a provider; they are all made together.
    _provider.tracer,
)
"""The instruments of this process, which a provider that comes later takes over."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.renew)
