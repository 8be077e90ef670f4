"""One span a run: begun with it, current in its code, ended once, in its last state."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from contextvars import Token

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import __version__, _correlation, _errors, _propagation, _spec
from prefect_instrumentation import attributes as names
from prefect_instrumentation._calls import Running, running
from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange
from prefect_instrumentation._secrets import shown
from prefect_instrumentation._span_attributes import exception, static
from prefect_instrumentation._text import MAX_NAME, text


class SpanObserver:
    """Makes a span of every run.

    Args:
        ensure_provider: called before the first span, so that nothing is set up for no run.
        flush: sends what is held within a second, and returns whether all of it arrived.
        flush_soon: sends what is held soon, without making anybody wait.
        tracer_provider: the global one by default.
        link_after: seconds that a deployment's run may have waited before it starts a trace of
            its own, with a link to its creator; None for ever.
    """

    def __init__(
        self,
        ensure_provider: Callable[[], None],
        flush: Callable[[], bool],
        flush_soon: Callable[[], None],
        tracer_provider: TracerProvider | None = None,
        link_after: float | None = None,
    ) -> None:
        self._ensure_provider = ensure_provider
        self._flush = flush
        self._flush_soon = flush_soon
        self._provider = tracer_provider
        self._link_after = link_after
        self._tracer: trace.Tracer | None = None

    def started(self, run: Run) -> RunObserver:
        """Begin the run's span in the context that the run belongs to."""
        tracer = self._tracer or self._make_tracer()
        context, links = self._place(run)
        spec = _spec.spec_of(run.function)
        correlation_id = _correlation_of(run)
        span = tracer.start_span(
            spec.name
            if spec and spec.name
            else text(f"{run.kind} {run.task or run.flow}", MAX_NAME),
            context=context,
            kind=SpanKind.CONSUMER if _is_consumed(run) else SpanKind.INTERNAL,
            links=links,
        )
        if span.is_recording():
            span.set_attributes(static(run, spec, correlation_id))
        parent = trace.get_current_span(context).get_span_context()
        return RunSpan(
            span,
            run,
            _Surroundings(
                _correlation.carrying(correlation_id, trace.set_span_in_context(span, context)),
                correlation_id,
            ),
            f"{parent.span_id:016x}" if parent.is_valid else "",
            # The task runner may be done with this process as soon as the task is.
            self._flush_soon if run.kind == "task" and parent.is_remote else _nothing,
        )

    def outgoing(self) -> Mapping[str, str]:
        """Carry the current context on."""
        labels = _propagation.to_labels()
        if correlation_id := _correlation.current():
            labels[_correlation.LABEL] = correlation_id
        return labels

    def flush(self) -> bool:
        """Send what is held."""
        return self._flush()

    def _make_tracer(self) -> trace.Tracer:
        self._ensure_provider()
        self._tracer = trace.get_tracer(
            "prefect_instrumentation", __version__, tracer_provider=self._provider
        )
        return self._tracer

    def _place(self, run: Run) -> tuple[Context, list[Link]]:
        """Return the context that holds the run's parent, and links where it has none."""
        context = _context_of(run)
        if self._link_after is None or not run.deployment_id or run.kind != "flow":
            return context, []
        creator = trace.get_current_span(context).get_span_context()
        if run.in_process or run.waited <= self._link_after or not creator.is_valid:
            return context, []
        if _propagation.PARENT_SPAN_ID in run.labels:  # not its creator, but its own first start
            return context, []
        return trace.set_span_in_context(trace.INVALID_SPAN, context), [Link(creator)]


class _Surroundings:
    """What is current while a run's own code runs."""

    __slots__ = ("_context", "_correlation_id", "_tokens")

    def __init__(self, context: Context, correlation_id: str) -> None:
        self._context = context
        self._correlation_id = correlation_id
        self._tokens: tuple[Token[Context], Token[str | None], Token[Running]] | None = None

    def enter(self, function: Callable[..., object]) -> None:
        self._tokens = (
            otel_context.attach(self._context),
            _correlation.bind(self._correlation_id),
            running.set(function),
        )

    def labels(self) -> dict[str, str]:
        return {
            **_propagation.to_labels(self._context),
            _correlation.LABEL: self._correlation_id,
        }

    def leave(self) -> None:
        tokens, self._tokens = self._tokens, None
        if tokens:
            running.reset(tokens[2])
            _correlation.unbind(tokens[1])
            otel_context.detach(tokens[0])


class RunSpan:
    """The span of one run; a `prefect_instrumentation._runs.RunObserver`."""

    __slots__ = ("_at_end", "_parent_id", "_run", "_seen", "_span", "_state", "_surroundings")

    def __init__(
        self,
        span: Span,
        run: Run,
        surroundings: _Surroundings,
        parent_id: str,
        at_end: Callable[[], None],
    ) -> None:
        self._span = span
        self._run = run
        self._surroundings = surroundings
        self._parent_id = parent_id
        self._at_end = at_end
        self._seen: BaseException | None = None
        """The error whose event the span has: an engine tells of one, and raises it too."""
        self._state = ""
        """The name of the state whose event the span has."""

    @property
    def labels(self) -> Mapping[str, str]:
        """A task run's own span; of a flow run also what only its record can carry on."""
        span = self._span.get_span_context()
        if not span.is_valid or f"{span.span_id:016x}" == self._parent_id:
            return {}  # without an SDK the span of a run is its parent's
        if self._run.kind == "task":
            return {_propagation.TRACEPARENT: _propagation.traceparent(span)}
        labels = self._surroundings.labels()
        labels[_propagation.PARENT_SPAN_ID] = self._parent_id
        if self._run.labels.get(_propagation.SPAN_ENDED):
            labels[_propagation.SPAN_ENDED] = ""  # it spoke of the span of an earlier start
        return labels

    def resumed(self) -> None:
        """Make the span current."""
        self._surroundings.enter(self._run.function)

    def suspended(self) -> None:
        """Make current what was so before."""
        self._surroundings.leave()

    def changed(self, state: StateChange) -> None:
        """Add an event, named as the state; `AwaitingRetry` and `Retrying` are retries."""
        if not self._span.is_recording():
            return
        event: dict[str, AttributeValue] = {names.STATE_TYPE: state.type}
        if state.message:
            event[names.STATE_MESSAGE] = state.message
        self._state = state.name
        self._span.add_event(state.name, event)

    def raised(self, error: BaseException) -> None:
        """Add the event of an exception."""
        self._seen = error
        if self._span.is_recording():
            self._span.add_event("exception", exception(error))

    def renamed(self, name: str) -> None:
        """Correct the run's name; the span's own does not hold it."""
        key = names.TASK_RUN_NAME if self._run.kind == "task" else names.FLOW_RUN_NAME
        self._span.set_attribute(key, shown(name, MAX_NAME))

    def ended(self, outcome: Outcome | None) -> None:
        """Say how the run ended, and end the span."""
        try:
            if outcome and self._span.is_recording():
                self._conclude(outcome)
        finally:
            self._span.end()
        self._at_end()

    def _conclude(self, outcome: Outcome) -> None:
        span, state, error = self._span, outcome.state, outcome.error
        if state.name != self._state:
            self.changed(state)  # somebody else has set it, as a runner or a pause does
        span.set_attributes(
            {
                names.STATE_TYPE: state.type,
                names.STATE_NAME: state.name,
                names.RUN_COUNT: outcome.attempts,
            }
        )
        if state.name == "Cached":
            span.set_attributes({names.CACHED: True})
        if not outcome.is_failure:
            return
        if error is not None and error is not self._seen:
            self.raised(error)
        span.set_attributes(
            _errors.describe(error, state)
            if error is not None
            else _errors.describe_state(state, _spec.function_name(self._run.function))
        )
        span.set_status(Status(StatusCode.ERROR, state.message))


def _context_of(run: Run) -> Context:
    """Return the context of the run's parent: of this process if it is here, else of the labels."""
    here = otel_context.get_current()
    is_here = trace.get_current_span(here).get_span_context().is_valid
    if is_here and (run.in_process or run.kind == "task"):
        return here
    if (context := _propagation.from_labels(run.labels)) is not None:
        return context
    if is_here:
        return here
    for nearest in range(len(run.enclosing_labels)):
        # A task's labels hold its span alone; baggage is on those of the flow run around it.
        labels = ChainMap(*map(dict, run.enclosing_labels[nearest:]))
        if (context := _propagation.from_labels(labels)) is not None:
            return context
    return here


def _correlation_of(run: Run) -> str:
    """Return the id of this context, else of the labels, its own or those around, else a new."""
    of_labels = _correlation.labelled(run.labels, *run.enclosing_labels)
    return _correlation.current() or of_labels or _correlation.new()


def _nothing() -> None:
    """Do nothing."""


def _is_consumed(run: Run) -> bool:
    """Return whether somebody asked for the run by the server's queue."""
    return run.background if run.kind == "task" else bool(run.deployment_id) and not run.in_process
