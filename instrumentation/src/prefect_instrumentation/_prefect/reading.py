"""What Prefect's engines, runs and states say, as frozen values.

Imported when the first engine starts: to import Prefect's modules earlier would import Prefect.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from prefect.client.schemas import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectSignal, TerminationSignal
from prefect.utilities.annotations import NotSet
from prefect.utilities.urls import url_for

from prefect_instrumentation._children import DEPLOYMENT, DEPLOYMENT_KEPT
from prefect_instrumentation._propagation import CARRIED
from prefect_instrumentation._runs import Outcome, Run, StateChange
from prefect_instrumentation._secrets import shown
from prefect_instrumentation._text import MAX_NAME, text

try:
    from prefect._internal.control_listener import get_intent
except ImportError:  # before 3.6 an engine sets a final state, whatever a signal means

    def get_intent() -> Literal["cancel", "reschedule", "relinquish"] | None:
        """Return what a signal means: nothing is known."""
        return None


MAX_DEPTH = 4
MAX_STATES = 100
"""How far an error is looked for in the states that a run returns."""


def run(engine: Any, record: Any) -> Run:  # noqa: ANN401 - one of four engines, and its run
    """Return the run that the engine starts; `record` is its FlowRun or TaskRun."""
    return _task_run(engine, record) if hasattr(engine, "task") else _flow_run(engine, record)


def state(of: Any) -> StateChange:  # noqa: ANN401 - prefect.states.State
    """Return a state's type, name and message, which is bounded and without secrets."""
    kind = of.type.value
    return StateChange(kind, text(of.name or kind, MAX_NAME), shown(of.message or ""))


def outcome(engine: Any, error: BaseException | None) -> Outcome:  # noqa: ANN401
    """Return how the run stands as its engine lets go of it.

    Args:
        engine: after its work.
        error: what came out of the engine, if anything.
    """
    record = engine.task_run if hasattr(engine, "task") else engine.flow_run
    last = record.state
    known = state(last)
    if isinstance(error, PrefectSignal) or known.type == "COMPLETED":
        return Outcome(known, record.run_count, None)
    if error is not None and not last.is_final() and get_intent() == "cancel":
        # The runner, which has asked for this, sets the state when the process is gone. Where it
        # means to run the flow again elsewhere, it says so instead, and the state stays.
        known = StateChange("CANCELLED", "Cancelled", "Flow run was cancelled.")
    return Outcome(known, record.run_count, error or _raised(engine))


def _raised(engine: Any) -> BaseException | None:  # noqa: ANN401
    """Return what the last attempt has raised, or what is in the state that it returned."""
    returned = getattr(engine, "_return_value", NotSet)
    if returned is not NotSet:
        return _cause(returned)
    raised = getattr(engine, "_raised", None)
    return raised if isinstance(raised, BaseException) else None


def _cause(returned: object, depth: int = MAX_DEPTH) -> BaseException | None:
    """Return the first error in a state, or in states: often a task's, which the flow passes on."""
    if isinstance(returned, BaseException) or not depth:
        return returned if isinstance(returned, BaseException) else None
    if isinstance(returned, State):
        if returned.is_completed():
            return None
        return _cause(getattr(returned.data, "result", returned.data), depth - 1)
    states = returned[:MAX_STATES] if isinstance(returned, list | tuple) else ()
    causes = (_cause(state, depth - 1) for state in states if isinstance(state, State))
    return next(filter(None, causes), None)


def kills(error: BaseException) -> bool:
    """Return whether the error is a signal, after which the process does not end by itself."""
    return isinstance(error, TerminationSignal)


def surrenders(error: BaseException) -> BaseException | None:
    """Return the signal by which a run is taken back, None where the error is no such thing.

    An asynchronous engine may see a cancellation in its place, and raises the signal later.
    """
    if get_intent() not in ("reschedule", "relinquish"):
        return None
    if isinstance(error, asyncio.CancelledError):
        return TerminationSignal(signal.SIGTERM)
    return error if kills(error) else None


def is_final(engine: Any) -> bool:  # noqa: ANN401
    """Return whether an engine's flow run has ended, as far as the server knows; False of tasks."""
    record = getattr(engine, "flow_run", None)
    return bool(record and record.state and record.state.is_final())


def _flow_run(engine: Any, record: Any) -> Run:  # noqa: ANN401
    flow = engine.flow
    run_id = str(record.id)
    return Run(
        kind="flow",
        id=run_id,
        name=record.name,
        function=flow.fn,
        flow=flow.name,
        flow_run_id=run_id,
        flow_run_name=record.name,
        task="",
        tags=tuple(record.tags),
        parameters=engine.parameters or {},
        labels=record.labels,
        enclosing_labels=tuple(_enclosing(engine)),
        in_process=_is_in_process(),
        generator=flow.isgenerator,
        background=False,
        flow_id=str(record.flow_id),
        deployment_id=str(record.deployment_id or ""),
        deployment=_deployment(record),
        work_pool=record.work_pool_name or "",
        work_queue=record.work_queue_name or "",
        waited=time.time() - record.created.timestamp() if record.created else 0.0,
        url=url_for(record) or "",
        run_count=record.run_count,
    )


def _task_run(engine: Any, record: Any) -> Run:  # noqa: ANN401
    task, around = engine.task, FlowRunContext.get()
    flow_run = around.flow_run if around else None
    return Run(
        kind="task",
        id=str(record.id),
        name=record.name,
        function=task.fn,
        flow=around.flow.name if around and around.flow else "",
        flow_run_id=str(record.flow_run_id or ""),
        flow_run_name=flow_run.name if flow_run else "",
        task=task.name,
        tags=tuple(record.tags),
        parameters=engine.parameters or {},
        labels=record.labels,
        enclosing_labels=tuple(_enclosing(engine)),
        in_process=True,
        generator=task.isgenerator,
        background=bool(record.state and record.state.state_details.deferred),
        flow_id="",
        deployment_id=str(flow_run.deployment_id or "") if flow_run else "",
        deployment=_deployment(flow_run) if flow_run else "",
        work_pool=(flow_run.work_pool_name or "") if flow_run else "",
        work_queue="",
        waited=0.0,
        flow_run_tags=tuple(flow_run.tags) if flow_run else (),
        run_count=record.run_count,
    )


def _enclosing(engine: Any) -> Iterator[Mapping[str, object]]:  # noqa: ANN401
    """Yield the labels of the runs around, as the process that submitted this one knew them."""
    if engine.context:
        if carried := engine.context.get(CARRIED):
            yield carried
        flow_run = _field(engine.context.get("flow_run_context"), "flow_run")
        task_run = _field(engine.context.get("task_run_context"), "task_run")
        if _encloses(task_run, flow_run):
            yield _field(task_run, "labels") or {}
    else:
        # A process pool hydrates the context of its first submission for all of them, so that the
        # task around may be another's; the flow is right.
        flow_run = _hydrated_flow_run()
    if flow_run:
        yield _field(flow_run, "labels") or {}


def _encloses(task_run: Any, flow_run: Any) -> bool:  # noqa: ANN401
    """Return whether the task is innermost; if not, the flow runs within it."""
    if not task_run or not flow_run:
        return bool(task_run)
    return bool(_field(task_run, "flow_run_id") == _field(flow_run, "id"))


def _hydrated_flow_run() -> Any:  # noqa: ANN401 - a FlowRun or None
    around = FlowRunContext.get()
    return around.flow_run if around and around.detached else None


def _field(of: Any, name: str) -> Any:  # noqa: ANN401 - dumped or not, as the version has it
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)


def _is_in_process() -> bool:
    around = FlowRunContext.get()
    if around:
        return not around.detached
    return TaskRunContext.get() is not None


def _deployment(record: Any) -> str:  # noqa: ANN401 - a FlowRun
    # Workers and `serve()` name it to the process that they start for the run, and to no other;
    # workers say which run that is.
    run_id = str(record.id)
    if not record.deployment_id or os.environ.get("PREFECT__FLOW_RUN_ID", run_id) != run_id:
        return ""
    return os.environ.get(DEPLOYMENT) or os.environ.get(DEPLOYMENT_KEPT, "")
