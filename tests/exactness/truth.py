"""What really ended: read from the server's own database, not from its API."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]  # it ships no types

Row = tuple[Any, ...]
Key = tuple[UUID, int]
"""What names one end: the run, and when, in microseconds since 1970."""

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
# The two tables that tell of one end may round its time differently on PostgreSQL.
TOLERANCE_US = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOMES = {("COMPLETED", "Cached"): "cached", ("FAILED", "TimedOut"): "timed_out"}

_FLOW_RUNS = """
    SELECT run.id, run.end_time, flow.name, deployment.name, run.parent_task_run_id
    FROM flow_run run
    JOIN flow ON flow.id = run.flow_id
    LEFT JOIN deployment ON deployment.id = run.deployment_id
"""
_FLOW_RUN_STATES = "SELECT id, flow_run_id, timestamp, type, name FROM flow_run_state"
_TASK_RUNS = """
    SELECT run.id, run.end_time, flow.name, run.task_key, run.start_time
    FROM task_run run
    LEFT JOIN flow_run ON flow_run.id = run.flow_run_id
    LEFT JOIN flow ON flow.id = flow_run.flow_id
    WHERE NOT EXISTS (SELECT 1 FROM flow_run child WHERE child.parent_task_run_id = run.id)
"""
_TASK_RUN_STATES = "SELECT id, task_run_id, timestamp, type, name FROM task_run_state"
_EVENTS = """
    SELECT id, resource_id, occurred, payload, related FROM events
    WHERE event LIKE 'prefect.flow-run.%'
"""


class Database(Protocol):
    """A Prefect server's database."""

    def rows(self, sql: str) -> Sequence[Row]:
        """Return what *sql* selects; ids and times as the driver has them."""
        ...


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A SQLite file that the server may have open."""

    path: Path

    def rows(self, sql: str) -> Sequence[Row]:
        """Return what *sql* selects, ids and times as text."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A PostgreSQL database; *url* as libpq takes it."""

    url: str

    def rows(self, sql: str) -> Sequence[Row]:
        """Return what *sql* selects, ids and times as objects."""
        return asyncio.run(self._rows(sql))

    async def _rows(self, sql: str) -> Sequence[Row]:
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True)
class State:
    """One state of a run; *at_us* in microseconds since 1970."""

    id: UUID
    at_us: int
    type: str
    name: str

    @property
    def terminal(self) -> bool:
        """Whether a run in this state has ended."""
        return self.type in TERMINAL

    @property
    def outcome(self) -> str:
        """What the exporter calls this end."""
        return _OUTCOMES.get((self.type, self.name), self.type.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of one run.

    Args:
        labels: Flow, deployment and subflow of a flow run; flow and task of a task run.
        outcomes: As it ended, and every other end that it was forced into later.
        replaced_us: When the run left its end, by a retry; None where it still shows it.
        deleted: Whether the run's row is gone.
        told: Whether an event tells of it.
        started: Whether the run has a start, so that it has a duration.
    """

    run_id: UUID
    at_us: int
    labels: tuple[str, ...]
    outcomes: tuple[str, ...]
    replaced_us: int | None = None
    deleted: bool = False
    told: bool = False
    started: bool = True

    @property
    def key(self) -> Key:
        """The run and the moment."""
        return self.run_id, self.at_us

    @property
    def standing(self) -> bool:
        """Whether the run's row still shows this end."""
        return not self.deleted and self.replaced_us is None


@dataclass(frozen=True, slots=True)
class Truth:
    """Every end that the database knows of.

    Args:
        phantoms: Events of ends that existing runs never had: their transaction was undone.
        strays: Standing ends whose row has another ``end_time``: the history would be no truth.
    """

    flow_runs: Sequence[End]
    task_runs: Sequence[End]
    phantoms: Sequence[Key]
    strays: Sequence[Key]


def read_truth(database: Database) -> Truth:
    """Read every end of every run."""
    told = [_Told.of(row) for row in database.rows(_EVENTS)]
    flow_runs = list(_flow_run_ends(database, {each.state.id for each in told}))
    states = {_uuid(row[0]) for row in database.rows(_FLOW_RUN_STATES)}
    existing = {_uuid(row[0]) for row in database.rows(_FLOW_RUNS)}
    of_existing = [each for each in told if each.run_id in existing]
    phantoms = [each.key for each in of_existing if each.end and each.state.id not in states]
    flow_runs += _deleted_ends([each for each in told if each.run_id not in existing])
    task_runs = list(_task_run_ends(database))
    return Truth(flow_runs, task_runs, phantoms, list(_strays(database, [*flow_runs, *task_runs])))


def _flow_run_ends(database: Database, told: set[UUID]) -> Iterator[End]:
    histories = _histories(database.rows(_FLOW_RUN_STATES))
    for run, _, flow, deployment, parent in database.rows(_FLOW_RUNS):
        labels = (flow, deployment or "", _subflow(parent is not None, deployment is not None))
        for first, outcomes, replaced_us in _ends(histories[_uuid(run)]):
            yield End(
                run_id=_uuid(run),
                at_us=first.at_us,
                labels=labels,
                outcomes=outcomes,
                replaced_us=replaced_us,
                told=first.id in told,
            )


def _task_run_ends(database: Database) -> Iterator[End]:
    histories = _histories(database.rows(_TASK_RUN_STATES))
    for run, _, flow, task_key, start in database.rows(_TASK_RUNS):
        labels = (flow or "", re.sub(r"-[0-9a-f]{8}$", "", task_key))
        for first, outcomes, replaced_us in _ends(histories[_uuid(run)]):
            yield End(
                run_id=_uuid(run),
                at_us=first.at_us,
                labels=labels,
                outcomes=outcomes,
                replaced_us=replaced_us,
                started=start is not None,
            )


def _strays(database: Database, ends: Sequence[End]) -> Iterator[Key]:
    rows = [*database.rows(_FLOW_RUNS), *database.rows(_TASK_RUNS)]
    shown = {_uuid(row[0]): _micros(row[1]) for row in rows if row[1] is not None}
    for end in ends:
        if end.standing and abs(end.at_us - shown.get(end.run_id, 0)) > TOLERANCE_US:
            yield end.key


def _histories(rows: Sequence[Row]) -> Mapping[UUID, list[State]]:
    histories: dict[UUID, list[State]] = defaultdict(list)
    for state, run, timestamp, kind, name in rows:
        histories[_uuid(run)].append(State(_uuid(state), _micros(timestamp), kind, name))
    for history in histories.values():
        history.sort(key=lambda state: state.at_us)
    return histories


def _ends(history: Sequence[State]) -> Iterator[tuple[State, tuple[str, ...], int | None]]:
    """Yield each end's first state, all its outcomes, and when the run left it."""
    first: State | None = None
    outcomes: list[str] = []
    for state in history:
        if state.terminal:
            first = first or state
            outcomes.append(state.outcome)
        elif first is not None:
            yield first, tuple(outcomes), state.at_us
            first, outcomes = None, []
    if first is not None:
        yield first, tuple(outcomes), None


@dataclass(frozen=True, slots=True)
class _Told:
    """A change of a flow run's state as its event tells it."""

    run_id: UUID
    state: State
    before: str | None
    names: Mapping[str, str]

    @classmethod
    def of(cls, row: Row) -> _Told:
        event, resource, occurred, payload, related = row
        payload, related = _json(payload), _json(related)
        after = payload.get("validated_state") or {"type": "", "name": ""}
        before = (payload.get("initial_state") or {}).get("type")
        names = {
            each["prefect.resource.role"]: each.get("prefect.resource.name", "") for each in related
        }
        state = State(_uuid(event), _micros(occurred), after["type"], after["name"])
        return cls(UUID(resource.removeprefix("prefect.flow-run.")), state, before, names)

    @property
    def key(self) -> Key:
        return self.run_id, self.state.at_us

    @property
    def end(self) -> bool:
        return self.state.terminal and self.before not in TERMINAL

    @property
    def labels(self) -> tuple[str, ...]:
        deployment = self.names.get("deployment", "")
        subflow = _subflow("task-run" in self.names, bool(deployment))
        return self.names.get("flow", ""), deployment, subflow


def _deleted_ends(told: Sequence[_Told]) -> Iterator[End]:
    for each in told:
        if each.end:
            yield End(
                run_id=each.run_id,
                at_us=each.state.at_us,
                labels=each.labels,
                outcomes=(each.state.outcome,),
                deleted=True,
                told=True,
            )


def _subflow(has_parent: bool, has_deployment: bool) -> str:  # noqa: FBT001  # two facts of a row
    if not has_parent:
        return "false"
    return "deployment" if has_deployment else "true"


def _uuid(value: object) -> UUID:
    return UUID(str(value))


def _micros(value: datetime | str) -> int:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(microseconds=1)


def _json(value: Any) -> Any:  # noqa: ANN401  # text or, from a driver that decodes, an object
    return json.loads(value) if isinstance(value, str) else value
