"""Telemetry that fails: one part of OpenTelemetry's, or of an observer of ours, raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._decorator import _agnosticcontextmanager

from prefect_instrumentation._runs import Outcome, Run, StateChange

OBSERVER = (
    *("observer.started", "observer.labels", "observer.resumed", "observer.suspended"),
    *("observer.changed", "observer.raised", "observer.renamed", "observer.ended"),
)
"""What Prefect's engines call."""

PROVIDER = (
    *("provider.get_tracer", "tracer.start_span", "span.is_recording", "span.set_attributes"),
    *("span.set_attribute", "span.add_event", "span.set_status", "span.get_span_context"),
    "span.end",
)
"""What our observer calls."""


class Broken(Exception):
    """Raised by telemetry."""


class Switch:
    """Makes one part raise, and counts how often it did."""

    def __init__(self, part: str, error: type[BaseException] = Broken) -> None:
        self.part = part
        self.hits = 0
        self._error = error

    def reach(self, part: str) -> None:
        """Raise if this is the part."""
        if part == self.part:
            self.hits += 1
            raise self._error(part)


class HostileProvider(trace.TracerProvider):
    """OpenTelemetry's SDK, one method of whose provider, tracer or spans raises."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._inner = TracerProvider(shutdown_on_exit=False)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:  # noqa: ANN401 - the SDK's
        """Return a tracer, or raise."""
        self._switch.reach("provider.get_tracer")
        return _HostileTracer(self._inner.get_tracer(*args, **kwargs), self._switch)


class _HostileTracer(trace.Tracer):
    def __init__(self, inner: trace.Tracer, switch: Switch) -> None:
        self._inner = inner
        self._switch = switch

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:  # noqa: ANN401 - the SDK's
        self._switch.reach("tracer.start_span")
        return _HostileSpan(self._inner.start_span(*args, **kwargs), self._switch)

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        *args: Any,  # noqa: ANN401 - the SDK's
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> Iterator[trace.Span]:
        with trace.use_span(self.start_span(name, *args, **kwargs), end_on_exit=True) as span:
            yield span


class _HostileSpan(trace.Span):
    def __init__(self, inner: trace.Span, switch: Switch) -> None:
        self._inner = inner
        self._switch = switch

    def _pass(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the SDK's
        self._switch.reach(f"span.{method}")
        return getattr(self._inner, method)(*args, **kwargs)

    def end(self, end_time: int | None = None) -> None:
        self._pass("end", end_time)

    def get_span_context(self) -> trace.SpanContext:
        context: trace.SpanContext = self._pass("get_span_context")
        return context

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._pass("set_attributes", attributes)

    def set_attribute(self, key: str, value: Any) -> None:  # noqa: ANN401 - the SDK's
        self._pass("set_attribute", key, value)

    def add_event(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        self._pass("add_event", *args, **kwargs)

    def update_name(self, name: str) -> None:
        self._pass("update_name", name)

    def is_recording(self) -> bool:
        return bool(self._pass("is_recording"))

    def set_status(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        self._pass("set_status", *args, **kwargs)

    def record_exception(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        self._pass("record_exception", *args, **kwargs)


class HostileObserver:
    """Hears of runs, and raises at one part; both an `Observer` and a `RunObserver`."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def started(self, run: Run) -> HostileObserver:
        """Raise, or be the run's observer too."""
        self._switch.reach("observer.started")
        return self

    def outgoing(self) -> Mapping[str, str]:
        """Raise, or have nothing to carry on."""
        self._switch.reach("observer.outgoing")
        return {}

    def flush(self) -> bool:
        """Raise, or have nothing to send."""
        self._switch.reach("observer.flush")
        return True

    @property
    def labels(self) -> Mapping[str, str]:
        """Raise, or have none."""
        self._switch.reach("observer.labels")
        return {}

    def resumed(self) -> None:
        """Raise, or do nothing, as all below."""
        self._switch.reach("observer.resumed")

    def suspended(self) -> None:
        """See above."""
        self._switch.reach("observer.suspended")

    def changed(self, state: StateChange) -> None:
        """See above."""
        self._switch.reach("observer.changed")

    def raised(self, error: BaseException) -> None:
        """See above."""
        self._switch.reach("observer.raised")

    def renamed(self, name: str) -> None:
        """See above."""
        self._switch.reach("observer.renamed")

    def ended(self, outcome: Outcome | None) -> None:
        """See above."""
        self._switch.reach("observer.ended")
