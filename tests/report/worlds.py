"""A workspace for sections and checks to look at, planted in a few words and kept in memory.

    with workspace() as world:
        etl = world.flow("etl")
        nightly = world.deployment(etl, "nightly", cron="0 3 * * *")
        run = world.run(etl, nightly, ended_ago=3600, state="Failed", message="no such table")
        world.task(run, "load", state="Failed")
        findings = list(check(world.workspace))

All times are seconds before ``NOW``; the period is the week before it. What needs no more
than ``World`` can be planted into a real server as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Self
from uuid import UUID

import msgspec

from prefect_exporter.moments import micros
from prefect_exporter.report.catalog import keep
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.rows import FlowRunRow, LogRow, TaskRunRow
from prefect_exporter.report.store import Store
from prefect_exporter.report.wire import (
    BlockType,
    ConcurrencyLimit,
    TagLimit,
    ToldAutomation,
    ToldBlock,
    ToldDeployment,
    ToldFlow,
    ToldServer,
    ToldVariable,
    ToldWorker,
    ToldWorkPool,
    ToldWorkQueue,
)
from prefect_exporter.report.workspace import Workspace
from prefect_exporter.ui_links import ui_links
from report.world import DAY, World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_US = micros(NOW)
WEEK_US = 7 * 86_400_000_000
API_URL = "http://prefect.test:4200/api"

STATE_TYPES = {
    "Cached": "COMPLETED",
    "TimedOut": "FAILED",
    "Late": "SCHEDULED",
    "AwaitingRetry": "SCHEDULED",
    "AwaitingConcurrencySlot": "SCHEDULED",
    "Retrying": "RUNNING",
    "Suspended": "PAUSED",
}
"""Of the states whose type is not their name."""

TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
NOT_STARTED = ("SCHEDULED", "PENDING")


class WorldBuilder(World):
    """A ``World`` in memory; a context manager that closes it."""

    def __init__(self, question: Question) -> None:
        self.now = NOW
        self.question = question
        self.store = Store(":memory:")
        self._ids = (UUID(int=number) for number in count(1))
        self._runs: dict[UUID, FlowRunRow] = {}
        self._pools: dict[UUID, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.__exit__()

    @property
    def workspace(self) -> Workspace:
        """What was planted until now, as sections and checks see it."""
        return Workspace(self.store, self.question)

    def flow(self, name: str, tags: Sequence[str] = ()) -> UUID:
        """Make a flow."""
        return self._keep(ToldFlow(next(self._ids), name, list(tags), _ago(90 * DAY)))

    def deployment(  # noqa: PLR0913  # as in World
        self,
        flow: UUID,
        name: str,
        *,
        tags: Sequence[str] = (),
        cron: str | None = None,
        pool: str | None = None,
        queue: str | None = None,
        paused: bool = False,
        limit: int | None = None,
        job_variables: Mapping[str, object] | None = None,
        schedule_active: bool = True,
        created_ago: float = 90 * DAY,
        updated_ago: float | None = None,
        **fields: Any,  # noqa: ANN401  # the API's own
    ) -> UUID:
        """Make a deployment."""
        key = next(self._ids)
        told: dict[str, Any] = {
            "id": str(key),
            "name": name,
            "flow_id": str(flow),
            "created": _ago(created_ago),
            "updated": _ago(created_ago if updated_ago is None else updated_ago),
            "tags": list(tags),
            "paused": paused,
            "work_pool_name": pool,
            "work_queue_name": queue or ("default" if pool else None),
            "job_variables": job_variables or {},
        }
        if cron:
            timing = {"cron": cron, "timezone": "UTC"}
            told["schedules"] = [{"schedule": timing, "active": schedule_active}]
        if limit is not None:
            limited = {"name": f"deployment:{key}", "limit": limit, "active_slots": 0}
            told["global_concurrency_limit"] = limited
        # As Prefect's answer: parameters stay raw, schedules become rows.
        text = msgspec.json.encode(told | fields)
        self._pools[key] = (pool or "", told["work_queue_name"] or "")
        return self._keep(msgspec.json.decode(text, type=ToldDeployment))

    def pool(
        self,
        name: str,
        *,
        limit: int | None = None,
        paused: bool = False,
        type: str = "process",  # noqa: A002  # Prefect's word
        **fields: Any,  # noqa: ANN401  # the row's own: status, base_job_template
    ) -> None:
        """Make a work pool, with its queue ``default``."""
        given: dict[str, Any] = {
            "created": _ago(90 * DAY),
            "is_paused": paused,
            "concurrency_limit": limit,
        }
        row = ToldWorkPool(name, type, **(given | fields))
        keep(self.store, row, name)
        self.queue(name, "default")

    def queue(
        self,
        pool: str,
        name: str,
        *,
        limit: int | None = None,
        paused: bool = False,
        **fields: Any,  # noqa: ANN401  # the row's own: priority, last_polled, updated
    ) -> None:
        """Make a work queue."""
        given: dict[str, Any] = {"priority": 1, "updated": _ago(90 * DAY)}
        row = ToldWorkQueue(
            id=next(self._ids),
            name=name,
            work_pool_name=pool,
            is_paused=paused,
            concurrency_limit=limit,
            **(given | fields),
        )
        self._keep(row)

    def worker(self, pool: str, name: str, *, heard_ago: float = 0.0) -> None:
        """Make a worker; one that was heard within 90 s is ``ONLINE``, as Prefect has it."""
        status = "ONLINE" if heard_ago < 90 else "OFFLINE"
        row = ToldWorker(name, status, _ago(heard_ago), work_pool=pool)
        keep(self.store, row, f"{pool}/{name}")

    def tag_limit(self, tag: str, limit: int) -> None:
        """Limit the task runs with a tag."""
        keep(self.store, TagLimit(tag, limit), tag)

    def global_limit(self, name: str, limit: int) -> None:
        """Make a global concurrency limit."""
        keep(self.store, ConcurrencyLimit(name, limit, 0.0), name)

    def automation(
        self,
        name: str,
        trigger: Mapping[str, object],
        actions: Sequence[Mapping[str, object]],
        *,
        enabled: bool = True,
        updated_ago: float = 90 * DAY,
    ) -> UUID:
        """Make an automation."""
        told = [dict(each) for each in actions]
        row = ToldAutomation(
            id=next(self._ids),
            name=name,
            enabled=enabled,
            updated=_ago(updated_ago),
            trigger=dict(trigger),
            actions=told,
        )
        return self._keep(row)

    def block(self, name: str, slug: str) -> UUID:
        """Make a block of a type."""
        return self._keep(ToldBlock(next(self._ids), name, block_type=BlockType(slug, slug)))

    def variable(self, name: str) -> UUID:
        """Make a variable."""
        return self._keep(ToldVariable(next(self._ids), name))

    def server(self, version: str | None = None, **refused: str) -> None:
        """Say what the server is, and what it did not let us read."""
        keep(self.store, ToldServer(version, refused), "server")

    def run(  # noqa: PLR0913  # as in World
        self,
        flow: UUID,
        deployment: UUID | None = None,
        *,
        ended_ago: float,
        seconds: float = 10.0,
        state: str = "Completed",
        message: str = "",
        wait: float = 1.0,
        attempts: int = 1,
        retries: int = 0,
        pool: str | None = None,
        queue: str | None = None,
        parent: UUID | None = None,
        tags: Sequence[str] = (),
        parameters: Mapping[str, object] | None = None,
        creator: tuple[str, str] | None = None,
    ) -> UUID:
        """Make a flow run."""
        key = next(self._ids)
        at_us = NOW_US - _us(ended_ago)
        started_us, ended_us = _moments(_type(state), at_us, seconds)
        due_us = (started_us if started_us is not None else at_us) - _us(wait)
        pools = self._pools.get(deployment, ("", "")) if deployment else ("", "")
        by_type, by_id = creator or (("DEPLOYMENT", str(deployment)) if deployment else ("", ""))
        row = FlowRunRow(
            id=key.bytes,
            name=f"run-{key.int}",
            flow_id=flow.bytes,
            deployment_id=deployment.bytes if deployment else b"",
            parent_task_run_id=b"",
            state_type=_type(state),
            state_name=state,
            state_message=message,
            expected_us=due_us,
            created_us=due_us,
            started_us=started_us,
            ended_us=ended_us,
            seconds=seconds if ended_us is not None else 0.0,
            attempts=attempts if started_us is not None else 0,
            work_pool=pools[0] if pool is None else pool,
            work_queue=pools[1] if queue is None else queue,
            auto_scheduled=by_type == "DEPLOYMENT",
            creator_type=by_type,
            creator_id=by_id,
            parameters_bytes=len(json.dumps(parameters or {})),
            retries=retries,
            tags=json.dumps(list(tags)),
        )
        if parent:
            placeholder = self._task(parent, "subflow", seconds, state, child=key)
            row = row._replace(parent_task_run_id=placeholder.bytes)
        self.store.add([row])
        self._runs[key] = row
        return key

    def task(  # noqa: PLR0913  # as in World
        self,
        run: UUID,
        name: str,
        *,
        seconds: float = 1.0,
        state: str = "Completed",
        after: float = 0.0,
        attempts: int = 1,
        retries: int = 0,
        tags: Sequence[str] = (),
        cache_key: str | None = None,
    ) -> UUID:
        """Make a task run."""
        return self._task(
            run,
            name,
            seconds,
            state,
            after=after,
            attempts=attempts,
            retries=retries,
            tags=json.dumps(list(tags)),
            cache_key=cache_key is not None,
        )

    def log(  # noqa: PLR0913  # as in World
        self,
        run: UUID,
        message: str,
        *,
        level: int = 40,
        task: UUID | None = None,
        ago: float = 0.0,
        logger: str | None = None,
    ) -> None:
        """Write a log line."""
        name = logger or ("prefect.task_runs" if task else "prefect.flow_runs")
        at_us = NOW_US - _us(ago)
        row = LogRow(run.bytes, task.bytes if task else b"", at_us, level, name, message)
        self.store.add([row])

    def _keep(self, row: Any) -> UUID:  # noqa: ANN401  # any row of the catalogue with an id
        keep(self.store, row, str(row.id))
        key: UUID = row.id
        return key

    def _task(  # noqa: PLR0913  # what tells a task run from another
        self,
        run: UUID,
        name: str,
        seconds: float,
        state: str,
        *,
        child: UUID | None = None,
        after: float = 0.0,
        attempts: int = 1,
        retries: int = 0,
        tags: str = "[]",
        cache_key: bool = False,
    ) -> UUID:
        key = next(self._ids)
        parent = self._runs[run]
        begun_us = parent.started_us if parent.started_us is not None else NOW_US
        started_us = begun_us + _us(after)
        ended = _type(state) in TERMINAL
        row = TaskRunRow(
            id=key.bytes,
            flow_run_id=run.bytes,
            task=name,
            name=f"{name}-{key.int}",
            state_type=_type(state),
            state_name=state,
            state_message="",
            started_us=started_us,
            ended_us=started_us + _us(seconds) if ended else None,
            seconds=seconds if ended else 0.0,
            attempts=attempts,
            retries=retries,
            child_flow_run_id=child.bytes if child else b"",
            cache_key=cache_key,
            tags=tags,
        )
        self.store.add([row])
        return key


def workspace(**fields: Any) -> WorldBuilder:  # noqa: ANN401  # the question's own fields
    """Return an empty workspace; *fields* change the question: flows, tags, compare, period."""
    period = Period(NOW_US - WEEK_US, NOW_US)
    question = Question("default", API_URL, ui_links(API_URL), period, NOW_US)
    return WorldBuilder(replace(question, **fields))


def _ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _type(state: str) -> str:
    return STATE_TYPES.get(state, state.upper())


def _moments(state_type: str, at_us: int, seconds: float) -> tuple[int | None, int | None]:
    """Return when a run that came into its state at a time has started, and ended."""
    if state_type in TERMINAL:
        return at_us - _us(seconds), at_us
    return (None if state_type in NOT_STARTED else at_us), None
