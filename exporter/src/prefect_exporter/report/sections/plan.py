"""Implementation plan: what to change, in which order, and how to take it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.report.comparison import headline
from prefect_exporter.report.model import Column, Finding, Kind, Row, Section
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.recommendations import (
    HOURS_OF_A_FAILURE,
    Recommendation,
    recommendations,
    saved_failures,
    saved_hours,
)
from prefect_exporter.report.tables import table
from prefect_exporter.report.unread import unread
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Workspace

_COLUMNS = (
    Column("Rank", Kind.COUNT),
    Column("Change"),
    Column("Of"),
    Column("Mends"),
    Column("Severity"),
    Column("Hours saved a week", Kind.HOURS),
    Column("Failures saved a week", Kind.COUNT),
    Column("Effort"),
    Column("Risk"),
    Column("Roll back"),
    Column("Owner"),
)


def section(workspace: Workspace, findings: Sequence[Finding]) -> Section:
    """Return the recommendations, those that save most first."""
    found = recommendations(findings)
    steps = table(
        "Steps",
        _COLUMNS,
        [_row(rank, each) for rank, each in enumerate(found, start=1)],
        "First what is severe and cannot be counted, then by what is saved: hours of running or"
        f" waiting, and {duration(HOURS_OF_A_FAILURE * 3600)} for each failed run. Saved is at most"
        " what the findings cost in this time, a week.",
    )
    tables = (steps,) if found else ()
    return Section("plan", "Implementation plan", tuple(_paragraphs(workspace, findings)), tables)


def _paragraphs(workspace: Workspace, findings: Sequence[Finding]) -> Iterator[str]:
    found = recommendations(findings)
    if not found:
        where = " in what was read" if unread(workspace.store) else ""
        yield f"Nothing was found{where} that ought to be changed."
        return
    quick = sum(each.action.effort == "minutes" for each in found)
    # One failure may be told by its flow, its parent and its upstream: there are no more.
    all_of_them = headline(workspace, workspace.period).failures / workspace.period.weeks
    hours, failures = saved_hours(findings), min(saved_failures(findings), all_of_them)
    yield (
        f"{count(len(found), 'change')}, {quick:,} of which take minutes. Together they save up to"
        f" about {duration(hours * 3600)} of running and waiting and {failures:.0f} failed runs a"
        " week; what several findings tell of the same flow, or of it and its pool, counts once."
    )


def _row(rank: int, each: Recommendation) -> Row:
    cells = (
        rank,
        each.action.change,
        listed(each.subjects),
        listed(list(dict.fromkeys(finding.check for finding in each.findings)), 5),
        str(each.severity),
        each.hours,
        each.failures,
        str(each.action.effort),
        each.action.risk,
        each.action.rollback,
        listed(each.owners),
    )
    return Row(cells)
