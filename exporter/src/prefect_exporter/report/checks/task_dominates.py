"""One task takes most of a dear flow's time: what is done about it pays, the rest does not."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.lengths import lengths
from prefect_exporter.report.performance.tasks import TaskTime, task_times
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

FEWEST_FLOW_RUNS = 5

LEAST_HOURS = 5.0
"""Of the task a week: a change to the code has to pay."""

LEAST_RUNS_EACH = 5.0
LEAST_SHARE_OF_LOOP = 0.5
"""So often in a flow run, one after the other, for half of its time: that is a loop."""

LEAST_SHARE = 0.8
FEWEST_TASKS = 3
"""A flow of one or two tasks is always taken up by one of them."""

AT_ONCE = 4
"""How many at once the estimate takes; more is often too much for what they read from."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return for each dear flow the task that takes most of its time, if one does."""
    totals = {each.subject: each.total for each in lengths(workspace)}
    told = set()
    for each in task_times(workspace):
        if each.subject in told or each.flow_runs < FEWEST_FLOW_RUNS:
            continue
        seconds = each.share * totals.get(each.subject, 0.0)
        hours = seconds / 3600 / workspace.period.weeks
        if hours >= LEAST_HOURS and (_is_loop(each) or _is_most(each)):
            told.add(each.subject)
            yield _finding(workspace, each, hours)


def _is_loop(each: TaskTime) -> bool:
    many = each.runs_each >= LEAST_RUNS_EACH and each.share >= LEAST_SHARE_OF_LOOP
    return many and each.one_by_one


def _is_most(each: TaskTime) -> bool:
    return each.tasks >= FEWEST_TASKS and each.share >= LEAST_SHARE


def _finding(workspace: Workspace, each: TaskTime, hours: float) -> Finding:
    name = workspace.name(each.subject)
    loop = _is_loop(each)
    return Finding(
        check="task-dominates",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"The task {each.task} takes {share(each.share)} of the time of {name}",
        detail=_detail(each, loop=loop),
        evidence=(
            Evidence(
                f"In {count(each.flow_runs, 'completed flow run')} that were looked at it ran"
                f" {each.runs_each:.3g} times each, {duration(each.seconds / each.task_runs)} a"
                f" time: {duration(each.wall)} in all.",
                {
                    "task": each.task,
                    "flow_runs": each.flow_runs,
                    "task_runs": each.task_runs,
                    "mean_seconds": round(each.seconds / each.task_runs, 3),
                    "share": round(each.share, 4),
                    "hours_a_week": round(hours, 2),
                },
                (subject_link(workspace, each.subject),),
            ),
        ),
        action=_action(each, hours, loop=loop),
        hours=hours * (1 - 1 / AT_ONCE) if loop else None,
        owner=workspace.owner(each.subject),
    )


def _detail(each: TaskTime, *, loop: bool) -> str:
    if loop:
        return (
            f"It runs {each.runs_each:.3g} times in a flow run, one after the other. If none needs"
            f" the result of another, {AT_ONCE} at once take a quarter of the time."
        )
    return "Whatever is made faster elsewhere in this flow, it will not be felt."


def _action(each: TaskTime, hours: float, *, loop: bool) -> Action:
    if loop:
        return Action(
            change=(
                f"@flow(task_runner=ThreadPoolTaskRunner(max_workers={AT_ONCE})), and in it"
                f" {_identifier(each.task)}.map(items).result() in place of the loop: saves about"
                f" {hours * (1 - 1 / AT_ONCE):.1f} hours a week."
            ),
            effort=Effort.HOURS,
            risk=(
                f"{AT_ONCE} at once load what the task reads from; task runs that need each"
                " other's results must stay in order."
            ),
            rollback="Put the loop back.",
        )
    return Action(
        change=(
            f"Look at {_identifier(each.task)} first. Where its inputs come again:"
            f" @task(name={each.task!r}, cache_policy=INPUTS, cache_expiration=timedelta(hours=1),"
            " persist_result=True); else split it, so that its parts can run at once."
        ),
        effort=Effort.DAYS,
        risk="A cached result may be older than the data that it is of.",
        rollback="Take cache_policy away.",
    )


def _identifier(task: str) -> str:
    """Return a task's function as code has it; task keys have dashes where a name has spaces."""
    return task if task.isidentifier() else repr(task)
