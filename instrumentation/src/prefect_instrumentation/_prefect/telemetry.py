"""What a run's engine has in place of Prefect's `RunTelemetry`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._prefect import reading
from prefect_instrumentation._prefect.ending import flush_before_kill
from prefect_instrumentation._prefect.labelling import Labelling
from prefect_instrumentation._runs import Observer, Run, RunObserver

_labelling = Labelling()
_step: ContextVar[Steps | None] = ContextVar("prefect_instrumentation_step", default=None)


class EngineTelemetry:
    """Stands in for an engine's `prefect.telemetry.run_telemetry.RunTelemetry`."""

    span = None
    """The engine would make it current, and mark it failed on a pause; we make ours current."""

    def __init__(self, engine: Any, observer: Observer) -> None:  # noqa: ANN401 - four classes
        self._engine = engine
        self._observer = observer
        self._run: Run | None = None
        self._watch: RunObserver | None = None
        self._error: BaseException | None = None
        self._current = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Answer what a newer engine may call, so that the run goes on."""
        if name.startswith("__"):
            raise AttributeError(name)
        once("seam", "This Prefect calls RunTelemetry.%s, which is not known here.", name)
        return lambda *_, **__: None

    def start_span(self, run: Any, client: Any, parameters: Any = None) -> None:  # noqa: ANN401
        """Begin; the labels of a flow run go to the server, those of a task run with its events."""
        if labels := self._begin(run):
            _labelling.store(client, run.id, labels)

    async def async_start_span(
        self,
        run: Any,  # noqa: ANN401 - the engine's own objects
        client: Any,  # noqa: ANN401
        parameters: Any = None,  # noqa: ANN401
    ) -> None:
        """Begin, in an asynchronous engine."""
        if labels := self._begin(run):
            await _labelling.store_async(client.update_flow_run_labels, run.id, labels)

    @guarded
    def update_state(self, new_state: Any) -> None:  # noqa: ANN401
        """Tell of a state that the engine has entered."""
        if self._watch:
            self._watch.changed(reading.state(new_state))

    @guarded
    def record_exception(self, exc: BaseException) -> None:
        """Tell of an error that the engine has caught."""
        self._error = exc
        if self._watch:
            self._watch.raised(exc)

    @guarded
    def update_run_name(self, name: str) -> None:
        """Tell of the run's custom name."""
        if self._watch:
            self._watch.renamed(name)

    def end_span_on_success(self) -> None:
        """Wait for the real end: a generator's consumer or a hook may still work."""

    def end_span_on_failure(self, terminal_message: str | None = None) -> None:
        """Wait for the real end, unless a signal is about to kill the process before it.

        An engine says this after the first failed attempt too, while others are to come.
        """
        if self._error is None or isinstance(self._error, Exception):
            return
        self._end_before_kill(self._error)

    def interrupted(self, error: BaseException) -> None:
        """End the run if a signal comes after its final state, of which an engine says nothing."""
        if reading.kills(error) and self._engine and reading.is_final(self._engine):
            self._end_before_kill(error)

    def surrendered(self, error: BaseException) -> None:
        """End the run if whoever started the process takes it back, to have it run elsewhere.

        Prefect waits for its tasks in threads first, which nobody can interrupt, and kills the
        process after 30 s.
        """
        if signalled := reading.surrenders(error):
            engine = self._engine
            # Its context stays: the engine has lines to write yet.
            self._end(signalled)
            self._flush_before_kill(engine, signalled)

    def _end_before_kill(self, error: BaseException) -> None:
        engine = self._engine
        self.finish(error)
        self._flush_before_kill(engine, error)

    def _flush_before_kill(self, engine: Any, error: BaseException) -> None:  # noqa: ANN401
        run = self._run
        if run and run.kind == "flow" and not run.in_process and reading.kills(error):
            flush_before_kill(self._observer, engine)

    @guarded
    def finish(self, error: BaseException | None) -> None:
        """End the run, once, and make its context current no longer."""
        try:
            self._end(error)
        finally:
            self.leave()
            self._watch = None

    @guarded
    def _end(self, error: BaseException | None) -> None:
        # Parameters and results are to go with the engine, and not when cycles are looked for.
        engine, self._engine = self._engine, None
        if self._watch and engine:
            self._watch.ended(guarded(reading.outcome)(engine, error))

    @guarded
    def enter(self) -> None:
        """Make the run's context current."""
        if self._watch and not self._current:
            self._current = True
            self._watch.resumed()

    @guarded
    def leave(self) -> None:
        """Make it current no longer."""
        if self._watch and self._current:
            self._current = False
            self._watch.suspended()

    @guarded
    def _begin(self, run: Any) -> dict[str, Any]:  # noqa: ANN401 - a FlowRun or TaskRun
        if hasattr(self._engine, "flow") and run.state.is_final():
            return {}  # a subflow whose result serves its parent's next attempt: nothing runs
        self._run = reading.run(self._engine, run)
        self._watch = self._observer.started(self._run)
        if self._watch is None:
            return {}
        labels = dict(self._watch.labels)
        run.labels.update(labels)
        # Of a generator that a task runner runs, the steps around are those of its flow.
        if self._run.generator and (steps := _step.get()) and steps.telemetry is None:
            steps.telemetry = self
        self.enter()
        return labels if self._run.kind == "flow" else {}


class Steps:
    """The steps of one generator run, which is current only within them."""

    def __init__(self) -> None:
        self.telemetry: EngineTelemetry | None = None
        self._token: Token[Steps | None] | None = None

    def __enter__(self) -> None:
        self._token = _step.set(self)
        if self.telemetry:
            self.telemetry.enter()

    def __exit__(self, *_: object) -> None:
        if self.telemetry:
            self.telemetry.leave()
        if self._token:
            _step.reset(self._token)

    def close(self) -> None:
        """Do nothing: the engine ends its run."""
