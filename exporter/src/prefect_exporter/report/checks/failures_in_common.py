"""Flows that fail at the same time, which points to what they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from prefect_exporter.moments import DAY
from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.coincidences import Coincidence, coincidences
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import chance, command, listed
from prefect_exporter.report.words import count, time
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

WORKSPACE = "the workspace"

LATELY_US = DAY
"""A single time that is longer ago is over: worth a look, but nothing fails by it any more."""

MOST_SHOWN = 5
"""Times of one subject that are told."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return one finding for each pool that is common, and one for all that have none."""
    found = sorted(coincidences(workspace), key=_subject)
    for subject, together in groupby(found, key=_subject):
        yield _finding(workspace, subject, list(together))


def _subject(each: Coincidence) -> str:
    pool = each.common.get("work pool")
    return f"work pool {pool}" if pool else WORKSPACE


def _finding(workspace: Workspace, subject: str, found: Sequence[Coincidence]) -> Finding:
    found = sorted(found, key=lambda each: (each.p, each.period.since_us))
    worst = found[0]
    failures = sum(each.failures for each in found)
    return Finding(
        check="failures-in-common",
        section=SECTION,
        severity=_severity(workspace, found),
        subject=subject,
        title=(
            f"{count(len(worst.flows), 'flow')} failed together at"
            f" {time(worst.period.since_us)}{_shared(worst)}"
        ),
        detail=(
            "So many flows fail together hardly by chance, and hardly each by its own code: look at"
            " what they share, a machine, a network, a database or a service, at that time."
        ),
        evidence=tuple(_evidence(workspace, each) for each in found[:MOST_SHOWN]),
        action=_action(worst),
        failures=failures / workspace.period.weeks,
    )


def _severity(workspace: Workspace, found: Sequence[Coincidence]) -> Severity:
    newest_us = max(each.period.until_us for each in found)
    is_over = newest_us < workspace.question.now_us - LATELY_US
    return Severity.MEDIUM if is_over and len(found) == 1 else Severity.HIGH


def _shared(each: Coincidence) -> str:
    shared = [f"{what} {which}" for what, which in each.common.items()]
    return f", all of {listed(shared, 4)}" if shared else ""


def _evidence(workspace: Workspace, each: Coincidence) -> Evidence:
    shared = "; ".join(f"{what}: {which}" for what, which in each.common.items())
    return Evidence(
        f"From {time(each.period.since_us)} to {time(each.period.until_us)}"
        f" {count(len(each.flows), 'flow')} failed ({listed(each.flows)}) where"
        f" {each.expected:.2g} would by their usual failures (Poisson, {chance(each.p)} over the"
        f" whole period): {each.failures:,} failures of {count(each.runs, 'run')}."
        + (f" In common: {shared}." if shared else ""),
        {
            "since": time(each.period.since_us),
            "until": time(each.period.until_us),
            "flows": len(each.flows),
            "flows_expected": round(each.expected, 4),
            "failures": each.failures,
            "runs": each.runs,
            "p": each.p,
            **{f"common_{what.replace(' ', '_')}": which for what, which in each.common.items()},
        },
        run_links(workspace, each.examples),
    )


def _action(each: Coincidence) -> Action:
    pool, host = each.common.get("work pool"), each.common.get("host")
    if host:
        change = f"Ask who runs {host} what happened there at {time(each.period.since_us)}."
    elif pool:
        change = f"{command('prefect', 'work-pool', 'inspect', pool)}  # then its machines' logs"
    else:
        change = f"Look at what {listed(each.flows)} share, at {time(each.period.since_us)}."
    return Action(change, Effort.HOURS, "None: it is a look.", "Nothing to take back.")
