"""Implementation plan: what to change, in which order, and how to take it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.report.model import Column, Finding, Kind, Row, Section
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.recommendations import (
    HOURS_OF_A_FAILURE,
    Recommendation,
    recommendations,
)
from prefect_exporter.report.tables import table
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
    del workspace
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
    return Section("plan", "Implementation plan", tuple(_paragraphs(found)), tables)


def _paragraphs(found: Sequence[Recommendation]) -> Iterator[str]:
    if not found:
        yield "Nothing was found that ought to be changed."
        return
    quick = sum(each.action.effort == "minutes" for each in found)
    hours = sum(each.hours or 0.0 for each in found)
    failures = sum(each.failures or 0.0 for each in found)
    yield (
        f"{count(len(found), 'change')}, {quick:,} of which take minutes. They save at most"
        f" {duration(hours * 3600)} of running and waiting, and {failures:.0f} failed runs, a week,"
        " less where two of them mend the same."
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
