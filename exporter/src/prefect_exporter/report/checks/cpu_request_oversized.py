"""A deployment asks for much more CPU than its runs use."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.resources.changes import cpu_text, set_request
from prefect_exporter.report.resources.measured import Measured, measured
from prefect_exporter.report.resources.requests import Setting
from prefect_exporter.report.usage import Usage
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "resources"

FEWEST_RUNS = 10

LEAST_SECONDS = 3600.0
"""Of runs: the mean of a few short ones is mostly that of their imports."""

MOST_USED = 0.2
"""Mean by request: it hides what is used for a moment, so that there is much room left."""

LEAST_CORES = 0.5
"""Requested: less is not worth a deployment."""

ROOM = 2.5
"""How many times the mean is asked for, but half of the request at least: a mean hides peaks."""


def check(workspace: Workspace, usage: Usage) -> Iterator[Finding]:
    """Return the deployments that use, on the average, a small part of what they ask for."""
    for each in measured(workspace, usage):
        asked = each.requests.cpu
        known = each.runs >= FEWEST_RUNS and each.seconds >= LEAST_SECONDS
        if not asked or not known or each.cores is None or asked.amount < LEAST_CORES:
            continue
        if each.cores <= MOST_USED * asked.amount:
            yield _finding(workspace, each, asked, each.cores)


def _finding(workspace: Workspace, each: Measured, asked: Setting, cores: float) -> Finding:
    name = workspace.name(each.subject)
    enough = cpu_text(each.work_pool, workspace, max(ROOM * cores, asked.amount / 2))
    return Finding(
        check="cpu-request-oversized",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"{name} asks for {asked.amount:g} CPUs and uses {cores:.2g} on the average",
        detail=(
            "It mostly waits, for a database or a service. CPUs that are set aside for it are"
            " nobody else's meanwhile."
        ),
        evidence=(
            Evidence(
                f"{count(each.runs, 'run')} took {duration(each.seconds)} and"
                f" {duration(cores * each.seconds)} of CPU time: {share(cores / asked.amount)} of"
                " what was set aside for them.",
                {
                    "runs": each.runs,
                    "run_seconds": round(each.seconds, 3),
                    "cpu_seconds": round(cores * each.seconds, 3),
                    "requested_cores": asked.amount,
                    "mean_cores": round(cores, 4),
                },
                (subject_link(workspace, each.subject),),
            ),
        ),
        action=Action(
            change=set_request(workspace, each, asked, enough, "cpu"),
            effort=Effort.MINUTES,
            risk="What the run computes at once takes longer; programs that it starts are not in"
            " these numbers.",
            rollback=set_request(workspace, each, asked, asked.text, "cpu"),
        ),
        owner=workspace.owner(each.subject),
    )
