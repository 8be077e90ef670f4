"""The performance section's charts, as data."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from prefect_exporter.labels import OUTCOMES, outcome
from prefect_exporter.report.model import Chart, Kind, Series, Shape
from prefect_exporter.report.performance.lengths import Lengths
from prefect_exporter.report.performance.load import Load
from prefect_exporter.report.performance.waits import QueueWaits
from prefect_exporter.report.statistics import quantile
from prefect_exporter.report.timeline import Timeline, timeline
from prefect_exporter.report.workspace import Workspace

MOST_LINES = 3
"""Flows or queues in one chart: more cannot be told apart."""

_OUTCOMES = """
SELECT ended_us / :step - :first, state_type, state_name, COUNT(*) FROM flow_runs
WHERE ended_us >= :since AND ended_us < :until GROUP BY 1, 2, 3
"""


def outcomes_chart(workspace: Workspace) -> Chart | None:
    """Return how runs ended over time; None where none ended."""
    steps = timeline(workspace.period)
    values = {
        "step": steps.step_us,
        "first": steps.first,
        "since": workspace.period.since_us,
        "until": workspace.period.until_us,
    }
    ended = {each: [0.0] * steps.count for each in OUTCOMES}
    for step, state_type, state_name, runs in workspace.database.execute(_OUTCOMES, values):
        if (how := outcome(state_type, state_name)) in ended:
            ended[how][step] += runs
    series = tuple(Series(how, tuple(runs)) for how, runs in ended.items() if any(runs))
    if not series:
        return None
    labels = tuple(steps.labels)
    return Chart("runs-by-outcome", "Flow runs by outcome", Shape.STACKED, labels, series)


def durations_chart(workspace: Workspace, slowest: Sequence[Lengths]) -> Chart | None:
    """Return how long the slowest flows took over time; None where nothing completed."""
    steps = timeline(workspace.period)
    series: list[Series] = []
    for each in slowest[:MOST_LINES]:
        stats, name = workspace.stats[each.subject], workspace.name(each.subject)
        for q in (0.5, 0.95):
            values = _quantiles(steps, stats.started_us, stats.durations, q)
            series.append(Series(f"{name} p{q * 100:.0f}", values))
    if not series:
        return None
    return Chart(
        "durations",
        "Durations of the slowest flows",
        Shape.LINE,
        tuple(steps.labels),
        tuple(series),
        Kind.SECONDS,
        "By when a run began; half of the runs take at most p50, 19 of 20 at most p95.",
    )


def waits_chart(workspace: Workspace, waits: Sequence[QueueWaits]) -> Chart | None:
    """Return how long runs waited in the slowest queues; None where nothing was queued."""
    if not waits:
        return None
    steps = timeline(workspace.period)
    series = tuple(
        Series(
            f"{each.work_pool}/{each.work_queue}",
            _quantiles(steps, each.started_us, each.waits, 0.95),
        )
        for each in waits[:MOST_LINES]
    )
    return Chart(
        "queue-waits",
        "Waiting in the slowest work queues (p95)",
        Shape.LINE,
        tuple(steps.labels),
        series,
        Kind.SECONDS,
        "From when a run could have begun to when it did.",
    )


def hours_chart(load: Load) -> Chart | None:
    """Return when in the day runs begin; None where none began."""
    if not any(load.scheduled) and not any(load.others):
        return None
    series = tuple(
        Series(name, tuple(map(float, runs)))
        for name, runs in (("by schedule", load.scheduled), ("otherwise", load.others))
        if any(runs)
    )
    labels = tuple(f"{hour:02}" for hour in range(24))
    return Chart("hours", "Runs started by hour of the day (UTC)", Shape.STACKED, labels, series)


def _quantiles(
    steps: Timeline, at_us: Iterable[int], values: Iterable[float], q: float
) -> tuple[float | None, ...]:
    parts: list[array[float]] = [array("d") for _ in range(steps.count)]
    for at, value in zip(at_us, values, strict=True):
        parts[steps.index(at)].append(value)
    return tuple(quantile(part, q) if part else None for part in parts)


def charts(
    workspace: Workspace, slowest: Sequence[Lengths], waits: Sequence[QueueWaits], load: Load
) -> Iterator[Chart]:
    """Return all charts of the section that have something to show."""
    for chart in (
        outcomes_chart(workspace),
        durations_chart(workspace, slowest),
        hours_chart(load),
        waits_chart(workspace, waits),
    ):
        if chart:
            yield chart
