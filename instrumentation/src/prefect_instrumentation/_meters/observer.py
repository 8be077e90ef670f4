"""Meters of every run: what it costs, how often it is tried, and what goes wrong."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token

from opentelemetry import context as otel_context

from prefect_instrumentation import _errors, _spec
from prefect_instrumentation import attributes as names
from prefect_instrumentation._meters import definitions, io
from prefect_instrumentation._meters.instruments import Instruments, process
from prefect_instrumentation._meters.usage import ThreadClock, peak_memory
from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange

_enclosing: ContextVar[int] = ContextVar("prefect_instrumentation_enclosing", default=0)
"""The id of the process in which a run encloses this context; a forked child has another."""


class MeterObserver:
    """Meters every run; a `prefect_instrumentation._runs.Observer`.

    Args:
        instruments: that record; those of this process by default.
    """

    def __init__(self, instruments: Instruments = process) -> None:
        self._instruments = instruments

    def started(self, run: Run) -> RunObserver:
        """Begin to meter the run."""
        return RunMeters(run, self._instruments)

    def outgoing(self) -> Mapping[str, str]:
        """Carry nothing on."""
        return {}

    def flush(self) -> bool:
        """Hold nothing: the meter provider does, and whoever made it flushes it."""
        return True


class RunMeters:
    """The meters of one run; a `prefect_instrumentation._runs.RunObserver`.

    What is recorded is recorded in the run's own context, so that it leads to the run's span.
    """

    __slots__ = (
        "_clock",
        "_context",
        "_cpu",
        "_errors",
        "_instruments",
        "_labels",
        "_tokens",
    )

    def __init__(self, run: Run, instruments: Instruments) -> None:
        self._instruments = instruments
        self._labels = {"flow": run.flow, "task": run.task, "deployment": run.deployment}
        self._errors = _Errors(self, run)
        self._context = otel_context.get_current()
        self._clock = ThreadClock() if _has_thread(run) else None
        is_outermost = _enclosing.get() != os.getpid()
        self._cpu = time.process_time() if is_outermost else None
        self._tokens: tuple[Token[int], Token[tuple[Instruments, Mapping[str, str]]]] | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Nothing that another process needs."""
        return {}

    def resumed(self) -> None:
        """Go on, in the context that observers before this one have made current."""
        self._context = otel_context.get_current()
        self._tokens = (
            _enclosing.set(os.getpid()),
            io.current.set((self._instruments, self._labels)),
        )
        if self._clock:
            self._clock.start()

    def suspended(self) -> None:
        """Stop, and make current what was so before."""
        if self._clock:
            self._clock.stop()
        tokens, self._tokens = self._tokens, None
        if tokens:
            io.current.reset(tokens[1])
            _enclosing.reset(tokens[0])

    def changed(self, state: StateChange) -> None:
        """Count an attempt where one begins."""
        self._errors.changed(state)
        if state.type == "RUNNING":
            self.record(definitions.ATTEMPTS, 1)

    def raised(self, error: BaseException) -> None:
        """Count the error of an attempt."""
        self._errors.raised(error)

    def renamed(self, name: str) -> None:
        """Do nothing: no metric has a run's name."""

    def ended(self, outcome: Outcome | None) -> None:
        """Record what the run has cost, and why it has failed."""
        self._errors.ended(outcome)
        if self._clock:
            self._clock.stop()
            self.record(definitions.TASK_CPU, self._clock.seconds)
        if self._cpu is not None:
            self.record(definitions.PROCESS_CPU, time.process_time() - self._cpu)
            if (peak := peak_memory()) is not None:
                self.record(definitions.PEAK_MEMORY, peak)

    def record(self, definition: definitions.Definition, amount: float, **more: str) -> None:
        """Record with the run's labels, and some more."""
        self._instruments.record(definition, amount, {**self._labels, **more}, self._context)


class _Errors:
    """Counts each error of a run once, with the state that followed from it.

    Of a task's error an engine tells before the state that it leads to, of a flow's after it, and
    of an error that is no `Exception` it may be that only the end knows what it meant.
    """

    __slots__ = ("_counted", "_function", "_is_flow", "_meters", "_pending", "_state")

    def __init__(self, meters: RunMeters, run: Run) -> None:
        self._meters = meters
        self._function = run.function
        self._is_flow = run.kind == "flow"
        self._state: StateChange | None = None
        self._pending: BaseException | None = None
        self._counted: BaseException | None = None

    def changed(self, state: StateChange) -> None:
        self._count(state)
        self._state = state

    def raised(self, error: BaseException) -> None:
        self._count(None)
        self._pending = error
        if self._is_flow and isinstance(error, Exception):
            self._count(self._state)

    def ended(self, outcome: Outcome | None) -> None:
        if outcome is None or outcome.error is not self._pending:
            self._count(self._state)
        if outcome and outcome.error is not None and outcome.error is not self._counted:
            self._pending = outcome.error
            self._count(outcome.state)
        elif outcome and outcome.error is None and outcome.is_failure:
            function = _spec.function_name(self._function)
            self._add(_errors.describe_state(outcome.state, function))
        self._counted = None  # what its traceback holds is to go with the engine

    def _count(self, state: StateChange | None) -> None:
        error, self._pending = self._pending, None
        if error is not None:
            self._counted = error
            self._add(_errors.describe(error, state))

    def _add(self, described: Mapping[str, str]) -> None:
        self._meters.record(
            definitions.ERRORS,
            1,
            category=described[names.ERROR_CATEGORY],
            fingerprint=described[names.ERROR_FINGERPRINT],
        )


def _has_thread(run: Run) -> bool:
    """Return whether the run's code has a thread to itself: coroutines share that of their loop."""
    function = run.function
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return run.kind == "task" and not is_async
