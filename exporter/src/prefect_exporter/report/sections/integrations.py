"""Integration review: which systems outside flows work with, and how that goes."""

from __future__ import annotations

from prefect_exporter.report.integrations.uses import Use, Uses, uses
from prefect_exporter.report.model import Column, Kind, Row, Section, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.tables import table
from prefect_exporter.report.words import count, share
from prefect_exporter.report.workspace import Workspace

_COLUMNS = (
    Column("System"),
    Column("Kind"),
    Column("Flows", Kind.COUNT),
    Column("Task runs", Kind.COUNT),
    Column("Failed task runs", Kind.SHARE),
    Column("Hours", Kind.HOURS),
    Column("Of all hours", Kind.SHARE),
    Column("Failed flow runs", Kind.COUNT),
    Column("Of all failures", Kind.SHARE),
    Column("Seen in"),
)
_NOTE = (
    "Task runs are those that were read. A failed flow run counts for each system that its failed"
    " tasks, its message or its logs show, and for none where they show none."
)
_LONGEST_SHOWN = 60


def section(workspace: Workspace) -> Section:
    """Return the systems outside, those that most failures show first."""
    found = uses(workspace)
    tables = (_table(found),) if found.systems else ()
    return Section("integrations", "Integration review", (_paragraph(found),), tables)


def _paragraph(found: Uses) -> str:
    if not found.systems:
        return "No system outside was seen in the names of tasks, tags, blocks, messages or logs."
    hurt = [each for each in _ordered(found) if each.failed_runs]
    text = f"{count(len(found.systems), 'system')} outside were seen."
    if hurt and found.failed_runs:
        worst = hurt[0]
        part = share(worst.failed_runs / found.failed_runs)
        text += f" {worst.name} shows in {part} of all failed flow runs, more than any other."
    return text


def _ordered(found: Uses) -> list[Use]:
    return sorted(
        found.systems.values(), key=lambda use: (-use.failed_runs, -use.seconds, use.name)
    )


def _table(found: Uses) -> Table:
    rows = [_row(each, found) for each in _ordered(found)]
    return table("Systems outside", _COLUMNS, rows, _NOTE)


def _row(use: Use, found: Uses) -> Row:
    shown = [f"{how} ({listed([_short(each) for each in what])})" for how, what in use.seen.items()]
    return Row(
        (
            use.name,
            use.kind,
            len(use.subjects),
            use.task_runs,
            use.failed_task_runs / use.task_runs if use.task_runs else None,
            use.seconds / 3600,
            use.seconds / found.seconds if found.seconds else None,
            use.failed_runs,
            use.failed_runs / found.failed_runs if found.failed_runs else None,
            listed(shown, len(shown)),
        )
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
