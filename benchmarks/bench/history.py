"""Flow runs with their task runs, as the rows that Prefect 3.8 would have written."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bench.catalog import Catalog, Deployment, Row, Tables, new_id

_TYPES = {
    "Completed": "COMPLETED",
    "Failed": "FAILED",
    "TimedOut": "FAILED",
    "Crashed": "CRASHED",
    "Cancelled": "CANCELLED",
    "Running": "RUNNING",
    "Scheduled": "SCHEDULED",
}
_ENDINGS = {"Completed": 93.5, "Failed": 3.5, "TimedOut": 0.4, "Crashed": 1.1, "Cancelled": 1.5}
_BATCH = 2000
_BEATS_EVERY = 30
_WAIT = timedelta(seconds=3)
_POLICY = '{"retries": 0, "resuming": false, "pause_keys": [], "retry_type": null}'


@dataclass(frozen=True, slots=True)
class Span:
    """When a run was to start, started and ended; None where that has not happened."""

    due: datetime
    start: datetime | None
    end: datetime | None

    @property
    def length(self) -> timedelta:
        """The running time of a run that ended."""
        return self.end - self.start if self.start and self.end else timedelta()

    @property
    def last(self) -> datetime:
        """When the current state began."""
        return self.end or self.start or self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """How many runs have no end.

    Args:
        running: Those that run, each with a task run that does.
        beating: How many of these send heartbeats.
        scheduled: Those that are due in a day.
    """

    running: int = 20
    beating: int = 0
    late: int = 20
    scheduled: int = 50


class History:
    """A source of runs; the same *seed* gives the same names, states and durations.

    Args:
        catalog: What the runs belong to.
        tasks: Task runs of each flow run.
        seed: Of everything that is drawn.
    """

    def __init__(self, catalog: Catalog, *, tasks: int, seed: int) -> None:
        self.catalog = catalog
        self._tasks = tasks
        self._random = random.Random(seed)
        self._deployments: dict[object, Deployment] = {
            each.id: each for each in catalog.deployments
        }
        self._beating: Sequence[Row] = ()
        self._beats: Iterator[Row] = iter(())

    def past(self, number: int, begin: datetime, end: datetime) -> Iterator[Tables]:
        """Yield *number* flow runs that ended between *begin* and *end*, a batch at a time."""
        for first in range(0, number, _BATCH):
            batch = _empty()
            for _ in range(min(_BATCH, number - first)):
                at = begin + (end - begin) * self._random.random()
                self._ended(batch, at, timedelta(seconds=self._random.lognormvariate(4, 1)))
            yield batch

    def ended(self, at: datetime) -> Tables:
        """Return one short flow run whose end, and whose tasks' ends, are at *at* or just before.

        With its event, which a poll reads too, and some heartbeats of runs that go on: each sends
        one while `_BEATS_EVERY` others end.
        """
        batch = _empty()
        self._ended(batch, at, timedelta(milliseconds=50))
        beats = itertools.islice(self._beats, -(-len(self._beating) // _BEATS_EVERY))
        batch["events"] = [
            self._ending(batch["flow_run"][0], at),
            *(self._heartbeat(run, at) for run in beats),
        ]
        return batch

    def unended(self, now: datetime, how_many: Unended) -> Tables:
        """Return runs without an end: what the polls of active and late runs read."""
        batch = _empty()
        hour = timedelta(hours=1)
        running = Span(now - hour - _WAIT, now - hour, None)
        for _ in range(how_many.running):
            run = self._flow_run(batch, "Running", running)
            self._task_run(batch, (run, 0), "Running", running)
        self._beating = batch["flow_run"][: how_many.beating]
        self._beats = itertools.cycle(self._beating)
        batch["events"] = [self._heartbeat(run, now) for run in self._beating]
        for _ in range(how_many.late):
            self._flow_run(batch, "Scheduled", Span(now - hour, None, None))
        for _ in range(how_many.scheduled):
            self._flow_run(batch, "Scheduled", Span(now + 24 * hour, None, None))
        return batch

    def _ended(self, batch: dict[str, list[Row]], at: datetime, length: timedelta) -> None:
        state = self._random.choices([*_ENDINGS], [*_ENDINGS.values()])[0]
        span = Span(at - length - _WAIT, at - length, at)
        run = self._flow_run(batch, state, span)
        step = length / max(self._tasks, 1)
        for number in range(self._tasks):
            start = at - length + number * step
            end = min(start + step, at)
            # The last task carries the flow's fate.
            fate = state if number == self._tasks - 1 else "Completed"
            self._task_run(batch, (run, number), fate, Span(start, start, end))

    def _flow_run(self, batch: dict[str, list[Row]], state: str, span: Span) -> Row:
        run_id, deployment = new_id(self._random), self._random.choice(self.catalog.deployments)
        state_id = self._state(batch["flow_run_state"], "flow_run_id", run_id, (state, span.last))
        named = {"name": f"run-{run_id.hex[:8]}", "parameters": '{"batch": 7}', "tags": "[]"}
        row = _run(run_id, state_id, state, span) | named | _placed(deployment)
        due_next = span.due if state == "Scheduled" else None
        row["next_scheduled_start_time"] = due_next
        batch["flow_run"].append(row)
        return row

    def _task_run(
        self, batch: dict[str, list[Row]], place: tuple[Row, int], state: str, span: Span
    ) -> None:
        run_id, (flow_run, number) = new_id(self._random), place
        state_id = self._state(batch["task_run_state"], "task_run_id", run_id, (state, span.last))
        tasks = self._deployment_of(flow_run).tasks
        key = tasks[number % len(tasks)]
        named: Row = {
            "name": f"{key}-{number:03d}",
            "task_key": f"{key}-{number:08x}",
            "dynamic_key": str(number),
            "flow_run_id": flow_run["id"],
            "flow_run_run_count": 1,
        }
        batch["task_run"].append(_run(run_id, state_id, state, span) | named)

    def _state(
        self, rows: list[Row], owner: str, run_id: UUID, current: tuple[str, datetime]
    ) -> UUID:
        state_id, (state, at) = new_id(self._random), current
        rows.append(
            {
                "id": state_id,
                "created": at,
                "updated": at,
                "type": _TYPES[state],
                "timestamp": at,
                "name": state,
                "state_details": json.dumps({owner: str(run_id)}),
                owner: run_id,
            }
        )
        return state_id

    def _deployment_of(self, run: Row) -> Deployment:
        return self._deployments[run["deployment_id"]]

    def _ending(self, run: Row, at: datetime) -> Row:
        named = f"prefect.flow-run.{run['state_name']}"
        return self._event(run, named, at) | {
            "payload": json.dumps(_transition(str(run["state_name"])))
        }

    def _heartbeat(self, run: Row, at: datetime) -> Row:
        return self._event(run, "prefect.flow-run.heartbeat", at)

    def _event(self, run: Row, event: str, at: datetime) -> Row:
        resource = {
            "prefect.resource.id": f"prefect.flow-run.{run['id']}",
            "prefect.resource.name": run["name"],
            "prefect.run-count": "1",
        }
        return {
            "id": new_id(self._random),
            "occurred": at,
            "received": at,
            "recorded": at,
            "event": event,
            "resource_id": resource["prefect.resource.id"],
            "resource": json.dumps(resource),
            "related": json.dumps(_related(self._deployment_of(run))),
            "payload": "{}",
        }


def _placed(deployment: Deployment) -> Row:
    return {
        "empirical_policy": _POLICY,
        "auto_scheduled": True,
        "flow_id": deployment.flow_id,
        "deployment_id": deployment.id,
        "work_queue_name": deployment.queue.name,
        "work_queue_id": deployment.queue.id,
        "labels": json.dumps({"prefect.flow.id": str(deployment.flow_id)}),
    }


def _run(run_id: UUID, state_id: UUID, state: str, span: Span) -> Row:
    return {
        "id": run_id,
        "created": span.due,
        "updated": span.last,
        "state_id": state_id,
        "state_type": _TYPES[state],
        "state_name": state,
        "state_timestamp": span.last,
        "run_count": 1 if span.start else 0,
        "expected_start_time": span.due,
        "start_time": span.start,
        "end_time": span.end,
        "total_run_time": span.length,
    }


def _related(deployment: Deployment) -> list[Mapping[str, str]]:
    names = {
        "flow": (str(deployment.flow_id), deployment.flow),
        "deployment": (str(deployment.id), deployment.name),
        "work-queue": (str(deployment.queue.id), deployment.queue.name),
        "work-pool": (str(deployment.queue.pool.id), deployment.queue.pool.name),
    }
    return [
        {
            "prefect.resource.id": f"prefect.{role}.{key}",
            "prefect.resource.role": role,
            "prefect.resource.name": name,
        }
        for role, (key, name) in names.items()
    ]


def _transition(state: str) -> dict[str, object]:
    return {
        "initial_state": {"type": "RUNNING", "name": "Running"},
        "validated_state": {"type": _TYPES[state], "name": state},
    }


def _empty() -> dict[str, list[Row]]:
    return {"flow_run": [], "flow_run_state": [], "task_run": [], "task_run_state": []}
