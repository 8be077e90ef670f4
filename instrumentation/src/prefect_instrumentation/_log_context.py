"""What log lines say of the run that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import TypeAlias

from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange

Fields: TypeAlias = Mapping[str, object]

NONE: Fields = MappingProxyType({})

_current: ContextVar[RunFields | None] = ContextVar("prefect_instrumentation_run", default=None)


def current() -> Fields:
    """Return the fields of the current run, those that it has; none outside of runs.

    They are flow, flow_run_id, flow_run_name, task, task_run_id, task_run_name, deployment,
    work_pool, attempt.
    """
    run = _current.get()
    return run.fields if run else NONE


class LogContextObserver:
    """Tells log lines which run they come from; a `prefect_instrumentation._runs.Observer`."""

    def started(self, run: Run) -> RunObserver:
        """Gather the run's fields; a task has some of its flow's."""
        return RunFields(run, current())

    def outgoing(self) -> Mapping[str, str]:
        """Carry nothing on."""
        return {}

    def flush(self) -> bool:
        """Hold nothing back."""
        return True


class RunFields:
    """The fields of one run; a `prefect_instrumentation._runs.RunObserver`."""

    __slots__ = ("_attempt", "_is_task", "_token", "fields")

    def __init__(self, run: Run, around: Fields) -> None:
        self._attempt = run.run_count
        self._is_task = run.kind == "task"
        self._token: Token[RunFields | None] | None = None
        self.fields: Fields = MappingProxyType(
            {name: value for name, value in _fields(run, around).items() if value}
        )

    @property
    def labels(self) -> Mapping[str, str]:
        """Leave nothing on the run's record."""
        return {}

    def resumed(self) -> None:
        """Be what `current` returns."""
        self._token = _current.set(self)

    def suspended(self) -> None:
        """Let `current` return what it did before."""
        token, self._token = self._token, None
        if token:
            _current.reset(token)

    def changed(self, state: StateChange) -> None:
        """Count an attempt."""
        if state.type == "RUNNING":
            self._attempt += 1
            self._set("attempt", self._attempt)

    def raised(self, error: BaseException) -> None:
        """Say nothing of it: the engine logs it."""

    def renamed(self, name: str) -> None:
        """Know the run by its custom name."""
        self._set("task_run_name" if self._is_task else "flow_run_name", name)

    def ended(self, outcome: Outcome | None) -> None:
        """Do nothing: what is current is so until suspended."""

    def _set(self, name: str, value: object) -> None:
        # Replaced, not changed: another thread may be reading.
        self.fields = MappingProxyType({**self.fields, name: value})


def _fields(run: Run, around: Fields) -> dict[str, object]:
    is_task = run.kind == "task"
    inherited = around if is_task and around.get("flow_run_id") == run.flow_run_id else NONE
    return {
        "flow": run.flow,
        "flow_run_id": run.flow_run_id,
        "flow_run_name": run.flow_run_name,
        "task": run.task,
        "task_run_id": run.id if is_task else "",
        "task_run_name": run.name if is_task else "",
        "deployment": run.deployment or inherited.get("deployment"),
        "work_pool": run.work_pool or inherited.get("work_pool"),
        "attempt": run.run_count,
    }
