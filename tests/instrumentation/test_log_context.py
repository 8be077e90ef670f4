"""What log lines know of the run that they come from."""

from __future__ import annotations

import threading
from dataclasses import replace

from observed import AWAITING_RETRY, COMPLETED, FLOW, RETRYING, RUNNING
from prefect_instrumentation import _log_context, copy_context
from prefect_instrumentation._log_context import LogContextObserver
from prefect_instrumentation._runs import Outcome, Run, RunObserver

DEPLOYED = replace(FLOW, deployment="nightly", work_pool="docker")
TASK = replace(
    FLOW, kind="task", id="run-2", name="load-0", task="load", flow_id="", in_process=True
)
OF_FLOW = {"flow": "etl", "flow_run_id": "run-1", "flow_run_name": "crimson-otter"}
OF_TASK = {**OF_FLOW, "task": "load", "task_run_id": "run-2", "task_run_name": "load-0"}


def begin(run: Run) -> RunObserver:
    """Return the watch of a run whose code has begun."""
    watch = LogContextObserver().started(run)
    watch.resumed()
    watch.changed(RUNNING)
    return watch


def end(watch: RunObserver) -> None:
    """End a run."""
    watch.ended(Outcome(COMPLETED, 1, None))
    watch.suspended()


def test_fields_are_current_while_the_run_is() -> None:
    """A run's fields, those that it has, in their order; after it, those around it."""
    flow_run = begin(FLOW)
    inside = dict(_log_context.current())
    task_run = begin(TASK)
    innermost = list(_log_context.current().items())
    end(task_run)
    again = dict(_log_context.current())
    end(flow_run)

    assert {**OF_FLOW, "attempt": 1} == inside == again
    assert list({**OF_TASK, "attempt": 1}.items()) == innermost
    assert {} == dict(_log_context.current())


def test_task_has_the_deployment_of_its_flow_run() -> None:
    """A task's own record does not say it; another run's task around it is not asked."""
    flow_run = begin(DEPLOYED)
    task_run = begin(TASK)
    inherited = dict(_log_context.current())
    end(task_run)
    stranger = begin(replace(TASK, flow_run_id="run-9"))
    of_another = dict(_log_context.current())
    end(stranger)
    end(flow_run)

    assert ("nightly", "docker") == (inherited["deployment"], inherited["work_pool"])
    assert {"deployment", "work_pool"}.isdisjoint(of_another)


def test_subflow_is_not_its_parents_deployment() -> None:
    """A flow run within another has its own deployment, or none."""
    parent = begin(DEPLOYED)
    child = begin(replace(FLOW, id="run-3", flow_run_id="run-3", in_process=True))
    inside = dict(_log_context.current())
    end(child)
    end(parent)

    assert "deployment" not in inside


def test_each_attempt_has_its_number() -> None:
    """Attempts count over retries; waiting for one is none."""
    watch = begin(TASK)
    seen = [_log_context.current()["attempt"]]
    for state in (AWAITING_RETRY, RETRYING):
        watch.changed(state)
        seen.append(_log_context.current()["attempt"])
    end(watch)

    assert [1, 1, 2] == seen


def test_attempts_of_earlier_processes_count() -> None:
    """A run that another process has started twice is at its third attempt."""
    watch = begin(replace(FLOW, run_count=2))
    seen = _log_context.current()["attempt"]
    end(watch)

    assert 3 == seen


def test_custom_name_replaces_the_first() -> None:
    """Lines know a run by its custom name from then on; a task's name is not the flow's."""
    flow_run = begin(FLOW)
    flow_run.renamed("heron")
    renamed = _log_context.current()["flow_run_name"]
    task_run = begin(TASK)
    task_run.renamed("load eggs")
    of_task = _log_context.current()
    end(task_run)
    end(flow_run)

    assert "heron" == renamed
    assert ("crimson-otter", "load eggs") == (of_task["flow_run_name"], of_task["task_run_name"])


def test_thread_sees_the_attempt_of_now() -> None:
    """A thread that began in the first attempt logs the second as such."""
    watch = begin(TASK)
    seen: list[object] = []
    told = threading.Event()

    def work() -> None:
        told.wait(10)
        seen.append(_log_context.current()["attempt"])

    thread = threading.Thread(target=copy_context(work))
    thread.start()
    watch.changed(RETRYING)
    told.set()
    thread.join()
    end(watch)

    assert [2] == seen
