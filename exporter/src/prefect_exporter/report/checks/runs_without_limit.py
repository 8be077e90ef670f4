"""Runs that took far longer than usual, and that nothing stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.statistics import quantile
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import RunStats, Subject, Workspace

SECTION = "risks"

FEWEST_RUNS = 20
"""Runs that completed, so that the usual duration is known."""

LEAST_RATIO = 10.0
"""To the 95th percentile of the completed runs."""

LEAST_SECONDS = 1800.0
"""Shorter runs block little, however unusual."""

_ENDED = (
    "WHERE flow_id = ? AND deployment_id = ? AND ended_us >= ? AND ended_us < ? AND attempts = 1"
    " AND seconds >= ? AND state_type IN ('COMPLETED', 'FAILED') AND state_name != 'TimedOut'"
    " ORDER BY seconds DESC"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows with such runs; runs under way are ``runs-stuck``'s."""
    period = workspace.period
    for subject, stats in workspace.stats.items():
        if len(stats.durations) < FEWEST_RUNS:
            continue
        usual = quantile(stats.durations, 0.95)
        least = max(LEAST_SECONDS, LEAST_RATIO * usual)
        runs = list(
            workspace.flow_runs(_ENDED, (*subject, period.since_us, period.until_us, least))
        )
        if runs:
            yield _finding(workspace, subject, stats, usual, runs)


def _finding(
    workspace: Workspace,
    subject: Subject,
    stats: RunStats,
    usual: float,
    runs: Sequence[FlowRunRow],
) -> Finding:
    name = workspace.name(subject)
    longest = runs[0].seconds
    limit = _limit(stats, runs)
    return Finding(
        check="runs-without-limit",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{name} once took {duration(longest)}, and nothing stopped it",
        detail=(
            "Prefect's API does not tell whether a flow has a time limit. This run shows that there"
            " is none, or one too high: the next may hold a slot for as long, or for ever."
        ),
        evidence=(
            Evidence(
                f"{count(len(runs), 'run')} took more than {LEAST_RATIO:.0f} times as long as 95 %"
                f" of the {len(stats.durations):,} completed runs ({duration(usual)}); the longest"
                f" took {duration(longest)}.",
                {
                    "runs": len(runs),
                    "longest_seconds": longest,
                    "p95_seconds": usual,
                    "completed": len(stats.durations),
                },
                run_links(workspace, (run.id for run in runs)),
            ),
        ),
        action=Action(
            f"@flow(name={workspace.flow_name(subject.flow_id)!r}, timeout_seconds={limit})",
            Effort.MINUTES,
            "A run that would have ended well a little later fails.",
            "Take the argument out again.",
        ),
        hours=sum(run.seconds - usual for run in runs) / 3600 / workspace.period.weeks,
        owner=workspace.owner(subject),
    )


def _limit(stats: RunStats, runs: Sequence[FlowRunRow]) -> int:
    """Return twice the longest of the usual runs, in whole minutes."""
    least = runs[-1].seconds
    usual = max((each for each in stats.durations if each < least), default=least)
    return 60 * max(1, round(2 * usual / 60))
