"""Groups of failures as a table and as charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prefect_exporter.failures.model import Group
from prefect_exporter.failures.trends import trend
from prefect_exporter.report.failed import Failures, failures
from prefect_exporter.report.failing.group_findings import name
from prefect_exporter.report.model import Chart, Column, Kind, Row, Series, Shape, Table
from prefect_exporter.report.phrases import chance, listed
from prefect_exporter.report.places import run_link
from prefect_exporter.report.tables import table
from prefect_exporter.report.timeline import Timeline, timeline
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import Workspace

MOST_GROUPS = 50
"""Shown in the table; the chart shows fewer."""

_CHARTED = 10
_PLACES = 3
_COLUMNS = (
    Column("Group"),
    Column("Category"),
    Column("Error"),
    Column("Message"),
    Column("Where"),
    Column("Known by"),
    Column("Failures", Kind.COUNT),
    Column("First", Kind.TIME),
    Column("Last", Kind.TIME),
    Column("Trend"),
    Column("Flows"),
    Column("Lost", Kind.HOURS),
    Column("Example", Kind.LINK),
)
_ENDED = (
    "SELECT id, ended_us FROM flow_runs WHERE state_type IN ('FAILED', 'CRASHED')"
    " AND ended_us >= ? AND ended_us < ?"
)


def groups_table(workspace: Workspace) -> Table:
    """Return the groups, the most failures first."""
    found = failures(workspace, workspace.period)
    return table(
        "Groups of failures",
        _COLUMNS,
        [_row(workspace, found, each) for each in found.groups],
        "Alike are failures with the same traceback, else the same error, else the same message;"
        " numbers, names and the like of a message do not count. Flows: how many failures of each.",
        MOST_GROUPS,
    )


def charts(workspace: Workspace) -> Iterator[Chart]:
    """Return failures over time by category, and the largest groups; none without failures."""
    found = failures(workspace, workspace.period)
    if not found.groups:
        return
    steps = timeline(workspace.period)
    yield Chart(
        "failures-by-category",
        "Failures by category",
        Shape.STACKED,
        tuple(steps.labels),
        tuple(
            Series(category, tuple(map(float, counts)))
            for category, counts in sorted(_by_category(workspace, found, steps).items())
        ),
    )
    largest = found.groups[:_CHARTED]
    yield Chart(
        "largest-groups",
        "Largest groups of failures",
        Shape.BAR,
        tuple(name(each, 60) for each in largest),
        (Series("Failures", tuple(float(each.count) for each in largest)),),
    )


def _by_category(workspace: Workspace, found: Failures, steps: Timeline) -> Mapping[str, list[int]]:
    counts: dict[str, list[int]] = {}
    period = workspace.period
    for run_id, at_us in workspace.database.execute(_ENDED, (period.since_us, period.until_us)):
        category = found.signatures[run_id].category
        counts.setdefault(category, [0] * steps.count)[steps.index(at_us)] += 1
    return counts


def _row(workspace: Workspace, found: Failures, group: Group) -> Row:
    signature = group.signature
    way = trend(group.buckets)
    cells = (
        signature.id,
        signature.category,
        signature.type,
        signature.pattern,
        " > ".join(signature.places[-_PLACES:]),
        str(signature.basis),
        group.count,
        rfc3339(group.first_us),
        rfc3339(group.last_us),
        f"{way.direction} ({way.method}, {chance(way.p)})",
        listed([f"{flow} ({number:,})" for flow, number in group.flows.items()]),
        found.seconds.get(signature.id, 0.0) / 3600,
        "newest",
    )
    return Row(cells, {"Example": run_link(workspace, "newest", group.examples[0])})


def categories(groups: Failures) -> Counter[str]:
    """Return how many failures each category has."""
    return Counter(each.category for each in groups.signatures.values())
