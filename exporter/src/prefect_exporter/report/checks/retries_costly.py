"""Attempts that failed and were made again take much of a flow's time."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.retrying import Retrying, retrying, worst_task
from prefect_exporter.report.places import run_link
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

FEWEST_RETRIES = 5
"""Fewer may be one bad hour."""

LEAST_HOURS = 1.0
"""A week: what is lost below it is not worth a change."""

LEAST_SHARE = 0.1
"""Of all time of the flow: retries are meant to cost something."""

MEDIUM_HOURS = 5.0

_RUNS = """
WHERE flow_id = ? AND deployment_id = ? AND ended_us >= ? AND ended_us < ?
    AND (attempts > 1 OR id IN (SELECT flow_run_id FROM task_runs WHERE attempts > 1))
ORDER BY attempts DESC, seconds DESC LIMIT 3
"""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows that lose hours a week, and much of their time, to retries."""
    for each in retrying(workspace):
        hours = each.all_lost / 3600 / workspace.period.weeks
        many = each.retries + each.task_retries >= FEWEST_RETRIES
        if many and hours >= LEAST_HOURS and each.all_lost >= LEAST_SHARE * each.total:
            yield _finding(workspace, each, hours)


def _finding(workspace: Workspace, each: Retrying, hours: float) -> Finding:
    name = workspace.name(each.subject)
    within = (*each.subject, workspace.period.since_us, workspace.period.until_us)
    lost_share = each.all_lost / each.total
    return Finding(
        check="retries-costly",
        section=SECTION,
        severity=Severity.MEDIUM if hours >= MEDIUM_HOURS else Severity.LOW,
        subject=name,
        title=f"Retries take {share(lost_share)} of the time of {name}",
        detail=(
            "An attempt that fails and is made again costs its time, its slot and its machine, and"
            " nobody sees it since the run completes in the end."
        ),
        evidence=(
            Evidence(
                f"In {count(each.runs, 'run')} {each.retries:,} retries of the flow and"
                f" {each.task_retries:,} of its tasks took about"
                f" {duration(each.all_lost)} of {duration(each.total)}: an estimate that takes all"
                " attempts of a run as equally long.",
                {
                    "runs": each.runs,
                    "retried_runs": each.retried,
                    "retries": each.retries,
                    "task_retries": each.task_retries,
                    "lost_seconds": round(each.all_lost, 3),
                    "run_seconds": round(each.total, 3),
                },
                tuple(
                    run_link(workspace, f"{run.name}, {count(run.attempts, 'attempt')}", run.id)
                    for run in workspace.flow_runs(_RUNS, within)
                ),
            ),
        ),
        action=_action(workspace, each),
        hours=hours,
        owner=workspace.owner(each.subject),
    )


def _action(workspace: Workspace, each: Retrying) -> Action:
    if each.task_lost > each.lost and (task := worst_task(workspace, each.subject)):
        return Action(
            change=(
                f"Mend what makes the task {task} fail; until then let it wait longer between"
                f" attempts: @task(name={task!r}, retry_delay_seconds=exponential_backoff("
                "backoff_factor=30), retry_jitter_factor=1)"
            ),
            effort=Effort.HOURS,
            risk="Runs that need a retry end later.",
            rollback="Put the old retry_delay_seconds back.",
        )
    flow = workspace.flow_name(each.subject.flow_id)
    return Action(
        change=(
            "Keep what an attempt has done, so that the next one goes on from there:"
            f" @flow(name={flow!r}, persist_result=True), and move what fails into a task with"
            " retries of its own."
        ),
        effort=Effort.HOURS,
        risk="Results take storage; a task with side effects must not lean on being run again.",
        rollback="Take persist_result away.",
    )
