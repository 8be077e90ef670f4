"""The report as values: what its three formats show, and what its JSON is.

All is frozen and holds plain data alone, so ``msgspec`` writes the JSON and its schema
(docs/report.schema.json). Texts that come from Prefect stand in it as they are: who shows them
escapes them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

SCHEMA_VERSION = 1
"""Of the JSON; a change that breaks its readers raises it."""

Cell: TypeAlias = str | int | float | bool | None


class Severity(StrEnum):
    """How much a finding costs, the dearest first."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Effort(StrEnum):
    """How long a change takes whoever knows the flow."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"


class Kind(StrEnum):
    """How the values of a column, or of a chart, are shown; numbers are in the unit named here."""

    TEXT = "text"
    COUNT = "count"
    SECONDS = "seconds"
    HOURS = "hours"
    SHARE = "share"
    """From 0 to 1; shown as per cent."""
    BYTES = "bytes"
    TIME = "time"
    """RFC 3339 in UTC."""
    MONEY = "money"
    LINK = "link"
    """The cell is a key of the row's ``links``."""


class Link(msgspec.Struct, frozen=True):
    """A page of Prefect's that shows what is spoken of."""

    text: str
    url: str


class Evidence(msgspec.Struct, frozen=True):
    """Why a finding is true: one sentence with its numbers, those numbers, and where to look.

    Args:
        text: For people.
        numbers: What the sentence says, by name, for programs.
        links: Runs, deployments or pools of Prefect's, at most five.
        source: ``file:line`` where it is about code; "" elsewhere.
    """

    text: str
    numbers: dict[str, Cell] = {}
    links: tuple[Link, ...] = ()
    source: str = ""


class Action(msgspec.Struct, frozen=True):
    """What mends a finding.

    Args:
        change: The exact change: a command, a line of code, a setting.
        effort: How long it takes.
        risk: What may go wrong by it.
        rollback: How it is taken back.
    """

    change: str
    effort: Effort
    risk: str
    rollback: str


class Finding(msgspec.Struct, frozen=True):
    """One thing that ought to be mended.

    Args:
        check: Which check found it, for example ``work-pool-without-worker``.
        subject: What it is about, for example ``etl/nightly`` or ``work pool k8s``.
        title: One line that names the subject.
        detail: What it means for whoever runs it.
        hours: Hours a week of runs or waiting that the action saves; None where unknown.
        failures: Failed runs a week that it saves; None where unknown.
        section: The id of the section that it belongs to.
        owner: Who owns the subject, by its tags; "" where nobody is named.
    """

    check: str
    section: str
    severity: Severity
    subject: str
    title: str
    detail: str
    evidence: tuple[Evidence, ...]
    action: Action
    hours: float | None = None
    failures: float | None = None
    owner: str = ""


class Column(msgspec.Struct, frozen=True):
    """One column of a table."""

    title: str
    kind: Kind = Kind.TEXT


class Row(msgspec.Struct, frozen=True):
    """One row: a cell for each column; *links* are pages by the column's title."""

    cells: tuple[Cell, ...]
    links: dict[str, Link] = {}


class Table(msgspec.Struct, frozen=True):
    """A table, the most important row first.

    Args:
        note: What a reader has to know of it, for example that rows were left out; may be "".
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""


class Series(msgspec.Struct, frozen=True):
    """The values of one line, or one colour of bars; None where there is none."""

    name: str
    values: tuple[float | None, ...]


class Shape(StrEnum):
    """How a chart is drawn."""

    LINE = "line"
    BAR = "bar"
    STACKED = "stacked"


class Chart(msgspec.Struct, frozen=True):
    """A chart as data; *labels* are those of the horizontal axis."""

    id: str
    title: str
    shape: Shape
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    kind: Kind = Kind.COUNT
    note: str = ""


class Node(msgspec.Struct, frozen=True):
    """Something that depends on others, or others on it.

    Args:
        kind: ``flow``, ``deployment``, ``automation`` or ``event``.
        failed_share: Of its runs of the period; None where there was none.
        reach: How many nodes are downstream of it.
        link: Its page; None where it has none, as an event.
    """

    id: str
    name: str
    kind: str
    runs: int = 0
    failed_share: float | None = None
    reach: int = 0
    link: Link | None = None


class Edge(msgspec.Struct, frozen=True):
    """One thing starts or needs another: *kind* is subflow, run_deployment, automation or event."""

    source: str
    target: str
    kind: str
    runs: int = 0


class Graph(msgspec.Struct, frozen=True):
    """Who depends on whom; *cycles* are lists of node ids."""

    id: str
    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    cycles: tuple[tuple[str, ...], ...] = ()
    note: str = ""


class Section(msgspec.Struct, frozen=True):
    """One chapter; *paragraphs* are plain text."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    graphs: tuple[Graph, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """What was looked at; times are RFC 3339 in UTC.

    Args:
        flows, tags: What it was narrowed to; empty for everything.
        notes: What was not read, and why, one sentence each: permissions, budgets, samples.
    """

    target: str
    url: str
    since: str
    until: str
    compared_since: str | None
    flows: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    flow_runs: int = 0
    task_runs: int = 0
    requests: int = 0
    notes: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """The whole."""

    generated: str
    exporter_version: str
    scope: Scope
    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]
    schema_version: int = SCHEMA_VERSION
