"""A workspace planted into a real Prefect server, with a past as long as is wished.

What Prefect lets anybody make is made by its API. What only time makes, runs that ended days ago
and the age of things, is written into the server's SQLite database as the server would have.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeAlias
from uuid import UUID, uuid4

from demo.api import ask
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.sandbox import Sandbox
from report.world import DAY, World
from report.worlds import NOT_STARTED, STATE_TYPES, TERMINAL

Row: TypeAlias = dict[str, object]

_STILL = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP")
_OFF: dict[str, Any] = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _STILL}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGED = 90 * DAY
_HEARD_SECONDS = 90.0


@contextmanager
def still_server() -> Iterator[PrefectServer]:
    """Run a server that changes nothing by itself: no run is scheduled, late or cleaned up."""
    with Sandbox() as sandbox:
        yield start_prefect_server(sandbox, **_OFF)


class Planter(World):
    """A ``World`` on a server of `still_server`; a context manager that writes the past at its end.

    Args:
        server: With a SQLite database of its own.
    """

    def __init__(self, server: PrefectServer) -> None:
        self.now = datetime.now(UTC)
        self._database = server.database_url.partition("///")[2]
        self._api = server.client()
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._changes: list[tuple[str, tuple[object, ...]]] = []
        self._queues: dict[tuple[str, str], str] = {}
        self._pool_ids: dict[str, str] = {}
        self._places: dict[UUID, tuple[str, str]] = {}
        self._started: dict[UUID, datetime] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.write()
        self._api.close()

    def write(self) -> None:
        """Write what was planted until now."""
        with closing(sqlite3.connect(self._database, timeout=60)) as database, database:
            for table, rows in self._rows.items():
                names = ", ".join(rows[0])
                marks = ", ".join("?" * len(rows[0]))
                insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # our names
                database.executemany(insert, [[*row.values()] for row in rows])
            for change, values in self._changes:
                database.execute(change, values)
        self._rows.clear()
        self._changes.clear()

    def flow(self, name: str, tags: Sequence[str] = ()) -> UUID:
        """Make a flow."""
        key = UUID(self._post("flows/", name=name, tags=[*tags])["id"])
        self._age("flow", str(key), _AGED)
        return key

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
        created_ago: float = _AGED,
        updated_ago: float | None = None,
        **fields: Any,  # noqa: ANN401  # the API's own
    ) -> UUID:
        """Make a deployment."""
        asked: dict[str, Any] = {
            "flow_id": str(flow),
            "name": name,
            "tags": [*tags],
            "paused": paused,
            "work_pool_name": pool,
            "work_queue_name": queue or ("default" if pool else None),
            "job_variables": job_variables or {},
            "concurrency_limit": limit,
        }
        if cron:
            timing = {"cron": cron, "timezone": "UTC"}
            asked["schedules"] = [{"schedule": timing, "active": schedule_active}]
        told = self._post("deployments/", **(asked | fields))
        key = UUID(told["id"])
        self._places[key] = (pool or "", asked["work_queue_name"] or "")
        self._age("deployment", told["id"], created_ago, updated_ago)
        for each in told["schedules"]:
            self._age("deployment_schedule", each["id"], created_ago, updated_ago)
        return key

    def pool(
        self,
        name: str,
        *,
        limit: int | None = None,
        paused: bool = False,
        type: str = "process",  # noqa: A002  # Prefect's word
    ) -> None:
        """Make a work pool, with its queue ``default``."""
        told = self._post(
            "work_pools/", name=name, type=type, is_paused=paused, concurrency_limit=limit
        )
        self._pool_ids[name] = told["id"]
        self._queues[name, "default"] = told["default_queue_id"]
        self._age("work_pool", told["id"], _AGED)
        self._age("work_queue", told["default_queue_id"], _AGED)

    def queue(
        self, pool: str, name: str, *, limit: int | None = None, paused: bool = False
    ) -> None:
        """Make a work queue."""
        told = self._post(
            f"work_pools/{pool}/queues", name=name, concurrency_limit=limit, is_paused=paused
        )
        self._queues[pool, name] = told["id"]
        self._age("work_queue", told["id"], _AGED)

    def worker(self, pool: str, name: str, *, heard_ago: float = 0.0) -> None:
        """Make a worker; it is ``ONLINE`` unless it was silent too long."""
        status = "ONLINE" if heard_ago < _HEARD_SECONDS else "OFFLINE"
        row: Row = {
            "id": str(uuid4()),
            "created": _written(self._ago(_AGED)),
            "name": name,
            "last_heartbeat_time": _written(self._ago(heard_ago)),
            "work_pool_id": self._pool_ids[pool],
            "heartbeat_interval_seconds": 30,
            "status": status,
        }
        self._rows["worker"].append(row)
        if status == "ONLINE":
            # As a heartbeat does; a worker asks for runs of every queue of its pool.
            ready, polled = "UPDATE work_pool SET status = 'READY' WHERE id = ?", self._ago(0)
            self._changes.append((ready, (self._pool_ids[pool],)))
            listened = (
                "UPDATE work_queue SET status = 'READY', last_polled = ? WHERE work_pool_id = ?"
            )
            self._changes.append((listened, (_written(polled), self._pool_ids[pool])))

    def tag_limit(self, tag: str, limit: int) -> None:
        """Limit the task runs with a tag."""
        self._post("concurrency_limits/", tag=tag, concurrency_limit=limit)

    def global_limit(self, name: str, limit: int) -> None:
        """Make a global concurrency limit."""
        self._post("v2/concurrency_limits/", name=name, limit=limit)

    def automation(
        self,
        name: str,
        trigger: Mapping[str, object],
        actions: Sequence[Mapping[str, object]],
        *,
        enabled: bool = True,
        updated_ago: float = _AGED,
    ) -> UUID:
        """Make an automation."""
        told = self._post(
            "automations/", name=name, enabled=enabled, trigger=trigger, actions=[*actions]
        )
        self._age("automation", told["id"], max(_AGED, updated_ago), updated_ago)
        return UUID(told["id"])

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
        at, state_type = self._ago(ended_ago), _type(state)
        started, ended = _moments(state_type, at, seconds)
        due = (started or at) - timedelta(seconds=wait)
        place = self._places.get(deployment, ("", "")) if deployment else ("", "")
        place = (place[0] if pool is None else pool, place[1] if queue is None else queue)
        creator = creator or (("DEPLOYMENT", str(deployment)) if deployment else None)
        key = uuid4()
        row = self._row(key, "flow_run", (state, message), at)
        row |= _timed(due, started, ended)
        row |= {
            "name": f"run-{key.hex[:8]}",
            "flow_id": str(flow),
            "deployment_id": str(deployment) if deployment else None,
            "parent_task_run_id": None,
            "run_count": attempts if started else 0,
            "next_scheduled_start_time": _written(due) if state_type == "SCHEDULED" else None,
            "parameters": json.dumps(parameters or {}),
            "empirical_policy": json.dumps({"retries": retries, "retry_delay": 0}),
            "tags": json.dumps([*tags]),
            "auto_scheduled": bool(creator and creator[0] == "DEPLOYMENT"),
            "created_by": json.dumps({"type": creator[0], "id": creator[1]}) if creator else None,
            "work_queue_name": place[1] or None,
            "work_queue_id": self._queues[place] if place[0] else None,
        }
        self._started[key] = started or at
        if parent:
            placeholder = self._task(parent, f"subflow-{key.hex[:8]}", seconds, state, child=key)
            row["parent_task_run_id"] = str(placeholder)
        self._rows["flow_run"].append(row)
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
        told = {
            "run_count": attempts,
            "empirical_policy": json.dumps({"retries": retries, "retry_delay": 0}),
            "tags": json.dumps([*tags]),
            "cache_key": cache_key,
        }
        return self._task(run, name, seconds, state, after=after, told=told)

    def log(
        self,
        run: UUID,
        message: str,
        *,
        level: int = 40,
        task: UUID | None = None,
        ago: float = 0.0,
    ) -> None:
        """Write a log line."""
        row: Row = {
            "id": str(uuid4()),
            "name": "prefect.task_runs" if task else "prefect.flow_runs",
            "level": level,
            "flow_run_id": str(run),
            "task_run_id": str(task) if task else None,
            "message": message,
            "timestamp": _written(self._ago(ago)),
        }
        self._rows["log"].append(row)

    def _task(  # noqa: PLR0913  # what tells a task run from another
        self,
        run: UUID,
        name: str,
        seconds: float,
        state: str,
        *,
        after: float = 0.0,
        child: UUID | None = None,
        told: Row | None = None,
    ) -> UUID:
        key = uuid4()
        started = self._started[run] + timedelta(seconds=after)
        ended = started + timedelta(seconds=seconds) if _type(state) in TERMINAL else None
        row = self._row(key, "task_run", (state, ""), ended or started, child)
        row |= _timed(started, started, ended)
        row |= {
            "name": f"{name}-{key.hex[:3]}",
            "flow_run_id": str(run),
            "task_key": f"{name}-{key.hex[:8]}",
            "dynamic_key": str(key),
            "flow_run_run_count": 1,
            "run_count": 1,
            "empirical_policy": json.dumps({"retries": 0, "retry_delay": 0}),
            "tags": "[]",
            "cache_key": None,
        }
        self._rows["task_run"].append(row | (told or {}))
        return key

    def _row(
        self, key: UUID, table: str, told: tuple[str, str], at: datetime, child: UUID | None = None
    ) -> Row:
        """Write a run's state, its name and message, and return the part of its row that has it."""
        (state, message), state_id, when = told, str(uuid4()), _written(at)
        details = {f"{table}_id": str(key)}
        if child:
            details["child_flow_run_id"] = str(child)
        self._rows[f"{table}_state"].append(
            {
                "id": state_id,
                "created": when,
                "updated": when,
                "type": _type(state),
                "timestamp": when,
                "name": state,
                "message": message or None,
                "state_details": json.dumps(details),
                f"{table}_id": str(key),
            }
        )
        return {
            "id": str(key),
            "state_id": state_id,
            "state_type": _type(state),
            "state_name": state,
            "state_timestamp": when,
            "updated": when,
        }

    def _post(self, path: str, **body: object) -> dict[str, Any]:
        told: dict[str, Any] = ask(self._api, f"/{path}", **body)
        return told

    def _age(self, table: str, key: str, ago: float, updated_ago: float | None = None) -> None:
        values = (
            _written(self._ago(ago)),
            _written(self._ago(ago if updated_ago is None else updated_ago)),
            key,
        )
        change = f"UPDATE {table} SET created = ?, updated = ? WHERE id = ?"  # noqa: S608  # our names
        self._changes.append((change, values))

    def _ago(self, seconds: float) -> datetime:
        return self.now - timedelta(seconds=seconds)


def _type(state: str) -> str:
    return STATE_TYPES.get(state, state.upper())


def _moments(
    state_type: str, at: datetime, seconds: float
) -> tuple[datetime | None, datetime | None]:
    """Return when a run that came into its state at a time has started, and ended."""
    if state_type in TERMINAL:
        return at - timedelta(seconds=seconds), at
    return (None if state_type in NOT_STARTED else at), None


def _timed(due: datetime, started: datetime | None, ended: datetime | None) -> Row:
    length = ended - started if started and ended else timedelta()
    return {
        "created": _written(due),
        "expected_start_time": _written(due),
        "start_time": _written(started) if started else None,
        "end_time": _written(ended) if ended else None,
        # SQLAlchemy writes a duration as a time after 1970.
        "total_run_time": _written(_EPOCH + length),
    }


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
