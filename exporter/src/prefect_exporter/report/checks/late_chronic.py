"""Deployments whose scheduled runs start late again and again."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.hazards.punctuality import LATE_SECONDS, Punctuality, punctuality
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.statistics import quantile
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"

FEWEST = 20
"""Scheduled runs that started."""

LEAST_SHARE = 0.25
"""Of them that started late."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return those that are late often, and in each third of the period."""
    for subject, found in punctuality(workspace).items():
        late = sum(found.late)
        if (
            len(found.waits) >= FEWEST
            and late >= LEAST_SHARE * len(found.waits)
            and all(found.late)
        ):
            yield _finding(workspace, subject, found, late)


def _finding(workspace: Workspace, subject: Subject, found: Punctuality, late: int) -> Finding:
    name, weeks = workspace.name(subject), workspace.period.weeks
    started, part = len(found.waits), share(late / len(found.waits))
    median, tenth = quantile(found.waits, 0.5), quantile(found.waits, 0.9)
    return Finding(
        check="late-chronic",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{name} starts late as a rule: {part} of its scheduled runs",
        detail=(
            "What waits for its data waits as long. It was late throughout the period, so it is not"
            " one incident but too few slots or workers at the time when it is due."
        ),
        evidence=(
            Evidence(
                f"{late:,} of {count(started, 'scheduled run')} started more than"
                f" {duration(LATE_SECONDS)} late; the median waited {duration(median)}, the worst"
                f" tenth {duration(tenth)} or longer.",
                {
                    "late": late,
                    "started": started,
                    "median_seconds": median,
                    "p90_seconds": tenth,
                    "late_seconds": found.late_seconds,
                },
                run_links(workspace, [found.latest[1]]),
            ),
        ),
        action=Action(
            command("prefect-exporter", "why-late", name),
            Effort.MINUTES,
            "None: it looks, and names the command that mends the cause.",
            "Nothing to take back.",
        ),
        hours=found.late_seconds / 3600 / weeks,
        owner=workspace.owner(subject),
    )
