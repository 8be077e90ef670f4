"""One log line for each run that failed, with what somebody who is woken needs.

Prefect logs the exception, with its frames, when an attempt raises; of a timeout, a crash or a
failed upstream it logs less. This line is the same for all of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from opentelemetry import trace

from prefect_instrumentation import _errors, _spec
from prefect_instrumentation import attributes as names
from prefect_instrumentation._errors.context import facts_of
from prefect_instrumentation._errors.occurrences import nth
from prefect_instrumentation._inputs import describe_inputs
from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange

logger = logging.getLogger("prefect_instrumentation.runs")

_WORDS = {
    "TimedOut": "timed out",
    "NotReady": "could not start",
    "CRASHED": "crashed",
    "CANCELLED": "was cancelled",
    "CANCELLING": "was cancelled",
}


class FailureObserver:
    """Logs each run that failed; a `prefect_instrumentation._runs.Observer`.

    Args:
        settings: says how much of a run's input is told; None while no lines are written.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: Callable[[], LogSettings | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock

    def started(self, run: Run) -> RunObserver:
        """Note when it began."""
        return _Watch(run, self._settings, self._clock)

    def outgoing(self) -> Mapping[str, str]:
        """Carry nothing on."""
        return {}

    def flush(self) -> bool:
        """Hold nothing back."""
        return True


class _Watch:
    __slots__ = ("_began", "_clock", "_run", "_settings")

    def __init__(
        self, run: Run, settings: Callable[[], LogSettings | None], clock: Callable[[], float]
    ) -> None:
        self._run = run
        self._settings = settings
        self._clock = clock
        self._began = clock()

    @property
    def labels(self) -> Mapping[str, str]:
        return {}

    def resumed(self) -> None:
        """Nothing depends on it."""

    def suspended(self) -> None:
        """Nothing depends on it."""

    def changed(self, state: StateChange) -> None:
        """The last one counts, which the outcome has."""

    def raised(self, error: BaseException) -> None:
        """Likewise."""

    def renamed(self, name: str) -> None:
        """The line has its name from the run's context."""

    def ended(self, outcome: Outcome | None) -> None:
        settings = self._settings()
        if settings is None or outcome is None or not outcome.is_failure:
            return
        kind, name = self._run.kind, outcome.state.name
        word = _WORDS.get(name) or _WORDS.get(outcome.state.type) or "failed"
        is_asked_for = outcome.state.type in {"CANCELLED", "CANCELLING"}
        logger.log(
            logging.WARNING if is_asked_for else logging.ERROR,
            "%s run %s",
            kind.capitalize(),
            word,
            extra={
                "state": name,
                "state_message": outcome.state.message,
                "seconds": round(self._clock() - self._began, 3),
                **_error(self._run, outcome),
                "input": describe_inputs(self._run, settings.error_input),
                **_links(self._run, settings),
            },
        )


def _error(run: Run, outcome: Outcome) -> dict[str, object]:
    error = outcome.error
    if error is None:
        function = _spec.function_name(run.function)
        described, where = _errors.describe_state(outcome.state, function), function
    else:
        described = _errors.describe(error, outcome.state)
        where = _errors.where(error) or _spec.function_name(run.function)
    found: dict[str, object] = {"where": where, **described}
    found["occurrence"] = nth(f"{run.kind} {described[names.ERROR_FINGERPRINT]}")
    if error is not None and (facts := facts_of(error)):
        found["error_context"] = facts
    return found


def _links(run: Run, settings: LogSettings) -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    links = {"flow_run_url": run.url}
    if settings.trace_url and span.is_valid:
        links["trace_url"] = settings.trace_url.replace("{trace_id}", f"{span.trace_id:032x}")
    return {name: link for name, link in links.items() if link}
