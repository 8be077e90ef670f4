"""Deployments that are due again before their runs have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from prefect_exporter.report.hazards.punctuality import punctuality
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.statistics import median
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import duration
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"

FEWEST = 10
"""Completed runs, and gaps between due times."""

LEAST_OVERLAPS = 0.5
"""Of the runs that began before an earlier one had ended."""


@dataclass(frozen=True, slots=True)
class Dense:
    """What is known, in seconds.

    Args:
        seconds: Duration of a run; *gap* from one due time to the next. With a limit both are
            means, since a backlog of some hours is worked off in the others; else medians.
    """

    subject: Subject
    name: str
    seconds: float
    gap: float
    overlaps: int
    limit: int | None

    @property
    def needed(self) -> float:
        """Runs at once that keep up with the schedule."""
        return self.seconds / self.gap


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return those whose limit cannot keep up, or that overlap without one."""
    for subject, deployment in deployments(workspace):
        stats, due = workspace.stats.get(subject), punctuality(workspace).get(subject)
        if not stats or not due or min(len(stats.durations), len(due.gaps)) < FEWEST:
            continue
        if deployment.paused or not _is_one_job(deployment):
            continue
        limit = _limit(deployment)
        usual = median if limit is None else fmean
        dense = Dense(
            subject,
            workspace.name(subject),
            usual(stats.durations),
            usual(due.gaps),
            due.overlaps,
            limit,
        )
        # Without a limit of its own it may have its pool's: then nothing overlaps.
        overlaps = limit is not None or due.overlaps >= LEAST_OVERLAPS * len(due.gaps)
        if overlaps and dense.needed > (limit or 1):
            yield _finding(workspace, dense)


def _is_one_job(deployment: ToldDeployment) -> bool:
    """Return whether all its runs do the same, one by one: none is left out, none is another."""
    active = {bytes(each.parameters) for each in deployment.schedules if each.active}
    options = deployment.concurrency_options
    return len(active) == 1 and not (options and options.collision_strategy == "CANCEL_NEW")


def _limit(deployment: ToldDeployment) -> int | None:
    limit = deployment.global_concurrency_limit
    return limit.limit if limit and limit.active else None


def _finding(workspace: Workspace, dense: Dense) -> Finding:
    behind = dense.limit is not None
    usual = "mean" if behind else "median"
    return Finding(
        check="schedule-denser-than-duration",
        section=SECTION,
        severity=Severity.HIGH if behind else Severity.MEDIUM,
        subject=dense.name,
        title=(
            f"{dense.name} is due every {duration(dense.gap)} and takes {duration(dense.seconds)}"
        ),
        detail=(
            "Its concurrency limit lets too few runs work at once, so the backlog grows for ever."
            if behind
            else "Nothing limits its runs, so they overlap: two of them may write the same data."
        ),
        evidence=(
            Evidence(
                f"The {usual} run takes {duration(dense.seconds)}, the {usual} time between due"
                f" times is {duration(dense.gap)}: {dense.needed:.1f} runs at once would keep up,"
                f" the limit is {dense.limit if behind else 'none'}. {dense.overlaps:,} runs began"
                " before an earlier one had ended.",
                {
                    "usual_seconds": dense.seconds,
                    "usual_gap_seconds": dense.gap,
                    "needed": dense.needed,
                    "limit": dense.limit,
                    "overlaps": dense.overlaps,
                },
                (subject_link(workspace, dense.subject),),
            ),
        ),
        action=_action(dense),
        owner=workspace.owner(dense.subject),
    )


def _action(dense: Dense) -> Action:
    # A quarter more than the usual run takes, in whole minutes.
    interval = 60 * (int(dense.seconds * 1.25 / 60) + 1)
    create = ("prefect", "deployment", "schedule", "create", dense.name)
    return Action(
        command(*create, "--interval", str(interval), "--replace", "--accept-yes"),
        Effort.MINUTES,
        f"It runs less often: every {duration(interval)}. Data is that much older.",
        "The same command with the schedule of before.",
    )
