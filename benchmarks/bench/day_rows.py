"""The rows of a simulated day as Prefect writes them: JSON with the fields that are read."""

from __future__ import annotations

from uuid import UUID

from bench.day_runs import FLOWS, POOLS, QUEUES, FlowRunEnd, TaskRunEnd, time_text
from prefect_exporter.moments import SECOND


def number_of(key: UUID) -> int:
    """Return which flow or deployment an id is of."""
    return key.int & 0xFFFF_FFFF_FFFF


def flow(number: int) -> dict[str, str]:
    """Return a flow."""
    return {"id": _flow_id(number), "name": _flow_name(number)}


def deployment(number: int) -> dict[str, str]:
    """Return a deployment."""
    flow_id = _flow_id(number % FLOWS)
    return {"id": _deployment_id(number), "name": _deployment_name(number), "flow_id": flow_id}


def work_pool(number: int) -> dict[str, str]:
    """Return a work pool."""
    return {"name": f"pool-{number:02d}", "type": "process"}


def work_queue(number: int) -> dict[str, str]:
    """Return a work queue."""
    return {"name": f"queue-{number:02d}", "work_pool_name": f"pool-{number % POOLS:02d}"}


def flow_run(row: FlowRunEnd, now_us: int) -> bytes:
    """Return a flow run as it is at a time."""
    state_type, state_name, since_us = "SCHEDULED", "Scheduled", row.due_us
    if row.end_us <= now_us:
        state_type, state_name, since_us = row.state_type, row.state_name, row.end_us
    elif row.start_us <= now_us:
        state_type, state_name, since_us = "RUNNING", "Running", row.start_us
    started = f'"{time_text(row.start_us)}"' if row.start_us <= now_us else "null"
    ended = f'"{time_text(row.end_us)}"' if row.end_us <= now_us else "null"
    due, queue = time_text(row.due_us), work_queue(row.deployment % QUEUES)
    return (
        f'{{"id":"{row.id}","flow_id":"{_flow_id(row.deployment % FLOWS)}",'
        f'"run_count":{row.starts},"total_run_time":{(row.end_us - row.start_us) / SECOND},'
        f'"state_type":"{state_type}","state_name":"{state_name}","state":{{"type":"{state_type}",'
        f'"name":"{state_name}","timestamp":"{time_text(since_us)}"}},'
        f'"deployment_id":"{_deployment_id(row.deployment)}","parent_task_run_id":null,'
        f'"work_pool_name":"{queue["work_pool_name"]}","work_queue_name":"{queue["name"]}",'
        f'"expected_start_time":"{due}","next_scheduled_start_time":"{due}",'
        f'"start_time":{started},"end_time":{ended}}}'
    ).encode()


def task_run(row: TaskRunEnd) -> bytes:
    """Return a task run that has ended."""
    start_us = row.end_us - int(row.seconds * SECOND)
    return (
        f'{{"id":"{row.id}","task_key":"task-{row.task:03d}-0a1b2c3d","run_count":{row.starts},'
        f'"total_run_time":{row.seconds},"flow_run_id":"{row.flow_run}",'
        f'"state":{{"state_details":{{"child_flow_run_id":null}}}},'
        f'"state_type":"{row.state_type}","state_name":"{row.state_name}",'
        f'"start_time":"{time_text(start_us)}","end_time":"{time_text(row.end_us)}"}}'
    ).encode()


def event(row: FlowRunEnd) -> bytes:
    """Return the event of a flow run's end."""
    queue = work_queue(row.deployment % QUEUES)
    names = {
        "flow": _flow_name(row.deployment % FLOWS),
        "deployment": _deployment_name(row.deployment),
        "work-queue": queue["name"],
        "work-pool": queue["work_pool_name"],
    }
    related = ",".join(
        f'{{"prefect.resource.role":"{role}","prefect.resource.name":"{name}"}}'
        for role, name in names.items()
    )
    return (
        f'{{"occurred":"{time_text(row.end_us)}","resource":{{"prefect.resource.id":'
        f'"prefect.flow-run.{row.id}","prefect.run-count":"{row.starts}"}},'
        f'"related":[{related}],"payload":{{"initial_state":{{"type":"RUNNING"}},'
        f'"validated_state":{{"type":"{row.state_type}","name":"{row.state_name}"}}}}}}'
    ).encode()


def _flow_id(number: int) -> str:
    return f"f1000000-0000-4000-8000-{number:012x}"


def _deployment_id(number: int) -> str:
    return f"de000000-0000-4000-8000-{number:012x}"


def _flow_name(number: int) -> str:
    return f"flow-{number:03d}"


def _deployment_name(number: int) -> str:
    return f"deployment-{number:04d}"
