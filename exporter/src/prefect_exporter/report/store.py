"""What was read of a workspace, in one SQLite file: small in memory, and there after a stop.

A step's rows and its cursor are written in one transaction, so that a report that was stopped
goes on where it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prefect_exporter.report.rows import FlowRunRow, LogRow, TaskRunRow

APPLICATION_ID = 0x50725278
"""By which such a file is known from any other: https://www.sqlite.org/pragma.html."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    step TEXT PRIMARY KEY, cursor TEXT NOT NULL, rows INTEGER NOT NULL, total INTEGER NOT NULL,
    done INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS flow_runs (
    id BLOB PRIMARY KEY, name TEXT, flow_id BLOB, deployment_id BLOB, parent_task_run_id BLOB,
    state_type TEXT, state_name TEXT, state_message TEXT, expected_us INTEGER, created_us INTEGER,
    started_us INTEGER, ended_us INTEGER, seconds REAL, attempts INTEGER, work_pool TEXT,
    work_queue TEXT, auto_scheduled INTEGER, creator_type TEXT, creator_id TEXT,
    parameters_bytes INTEGER, retries INTEGER, tags TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS task_runs (
    id BLOB PRIMARY KEY, flow_run_id BLOB, task TEXT, name TEXT, state_type TEXT, state_name TEXT,
    state_message TEXT, started_us INTEGER, ended_us INTEGER, seconds REAL, attempts INTEGER,
    retries INTEGER, child_flow_run_id BLOB, cache_key INTEGER, tags TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    flow_run_id BLOB, task_run_id BLOB, at_us INTEGER, level INTEGER, logger TEXT, message TEXT
);
CREATE INDEX IF NOT EXISTS flow_runs_by_subject ON flow_runs (flow_id, deployment_id, started_us);
CREATE INDEX IF NOT EXISTS task_runs_by_flow_run ON task_runs (flow_run_id);
CREATE INDEX IF NOT EXISTS logs_by_flow_run ON logs (flow_run_id);
"""
_INSERT = {
    FlowRunRow: "INSERT OR REPLACE INTO flow_runs VALUES ({})",
    TaskRunRow: "INSERT OR REPLACE INTO task_runs VALUES ({})",
    LogRow: "INSERT INTO logs VALUES ({})",
}


@dataclass(frozen=True, slots=True)
class Step:
    """How far one thing was read.

    Args:
        cursor: Where to go on; "" at the beginning.
        rows: That were read.
        total: That there are, as far as is known; 0 where it is not.
        done: Nothing is left.
    """

    cursor: str = ""
    rows: int = 0
    total: int = 0
    done: bool = False


class Store:
    """The file; a context manager that closes it.

    Args:
        path: Where it is, or ``:memory:``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        # A report is made again where the machine stops, so no write has to reach the disk at once.
        self.database.execute("PRAGMA synchronous=OFF")
        self.database.execute(f"PRAGMA application_id={APPLICATION_ID}")
        self.database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that follows, or nothing of it."""
        self.database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def add(self, rows: Iterable[FlowRunRow] | Iterable[TaskRunRow] | Iterable[LogRow]) -> None:
        """Keep rows of one kind; a run that is there already is replaced."""
        known = list(rows)
        if known:
            marks = ",".join("?" * len(known[0]))
            self.database.executemany(_INSERT[type(known[0])].format(marks), known)

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Keep one object of the catalogue, as JSON."""
        row = (kind, key, body)
        self.database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", row)

    def objects(self, kind: str) -> Iterator[bytes]:
        """Return the objects of a kind, by their keys."""
        query = "SELECT body FROM objects WHERE kind = ? ORDER BY id"
        return (body for (body,) in self.database.execute(query, (kind,)))

    def step(self, name: str) -> Step:
        """Return how far a step has come."""
        query = "SELECT cursor, rows, total, done FROM steps WHERE step = ?"
        row = self.database.execute(query, (name,)).fetchone()
        return Step(row[0], row[1], row[2], bool(row[3])) if row else Step()

    def set_step(self, name: str, step: Step) -> None:
        """Remember how far a step has come; call it with its rows in one ``transaction``."""
        row = (name, step.cursor, step.rows, step.total, int(step.done))
        self.database.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)", row)

    def meta(self, key: str) -> str | None:
        """Return what was remembered under *key*."""
        row = self.database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        """Remember a value."""
        self.database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
