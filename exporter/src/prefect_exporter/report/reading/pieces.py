"""What is read, cut into pieces that can stop anywhere and go on later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from prefect_exporter.client import PrefectClient
from prefect_exporter.report.question import Question
from prefect_exporter.report.rows import FlowRunRow, LogRow, TaskRunRow
from prefect_exporter.report.store import Step, Store

Rows: TypeAlias = Sequence[FlowRunRow] | Sequence[TaskRunRow] | Sequence[LogRow]

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read at most.

    Args:
        task_runs: How many task runs; above it whole flow runs are drawn.
        requests: How many requests; None where there is no limit.
        at_once: How many requests wait for their answers at the same time.
    """

    task_runs: int = 40_000
    requests: int | None = None
    at_once: int = AT_ONCE


@dataclass(frozen=True, slots=True)
class Source:
    """From where, to where, and what for."""

    client: PrefectClient
    store: Store
    question: Question
    limits: Limits


@dataclass(frozen=True, slots=True)
class Portion:
    """What one answer brought.

    Args:
        step: How far the piece has come with it.
        rows: Of runs or logs.
        objects: Of the catalogue, each with its key.
        note: What a reader of the report has to know; "" for nothing.
    """

    step: Step
    rows: Rows = ()
    objects: Sequence[tuple[msgspec.Struct, str]] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of what is read.

    Args:
        name: Of its step in the store.
        what: What people call it, for example ``flow runs``.
        read: Returns the next portion after a step.
        needed: Without it there is no report; else its refusal is a note.
    """

    name: str
    what: str
    read: Callable[[Step], Awaitable[Portion]]
    needed: bool = False
