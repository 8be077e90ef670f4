"""Flows that fail of what a second try would often mend, and are not tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.records import Verdict, record_of
from prefect_exporter.report.failing.transient import Transient, transient
from prefect_exporter.report.mends import flow_retries, task_retries
from prefect_exporter.report.model import Evidence, Finding, Severity
from prefect_exporter.report.rows import FlowRunRow, TaskRunRow
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ("flow runs", "task runs")

FEWEST = 3
"""Such failures in the period."""

MEDIUM_SHARE = 0.05
"""Of its runs that fail so: less is a nuisance."""

_TASKS_LOOKED_AT = 100
"""Failed runs whose tasks are looked at."""

_FAILED_TASKS = (
    "WHERE flow_run_id = ? AND state_type = 'FAILED' AND child_flow_run_id = x'' ORDER BY ended_us"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows without retries; of what Prefect does not tell, nothing is said."""
    for subject, found in transient(workspace).items():
        record = record_of(workspace, subject)
        if record is None or record.verdict is Verdict.BROKEN:
            continue
        runs = [run for run in found.runs if run.retries == 0]
        tasks = _failed_tasks(workspace, runs)
        # A task that was tried again has had its chances already.
        if len(runs) >= FEWEST and found.recovered and all(task.retries == 0 for task in tasks):
            often = len(runs) >= MEDIUM_SHARE * record.runs
            severity = Severity.MEDIUM if often else Severity.LOW
            yield replace(_finding(workspace, subject, found, runs, tasks), severity=severity)


def _failed_tasks(workspace: Workspace, runs: Sequence[FlowRunRow]) -> Sequence[TaskRunRow]:
    return [
        task
        for run in runs[:_TASKS_LOOKED_AT]
        for task in workspace.task_runs(_FAILED_TASKS, (run.id,))
    ]


def _finding(
    workspace: Workspace,
    subject: Subject,
    found: Transient,
    runs: Sequence[FlowRunRow],
    tasks: Sequence[TaskRunRow],
) -> Finding:
    name, weeks = workspace.name(subject), workspace.period.weeks
    lost = sum(run.seconds for run in runs)
    names = sorted({task.task for task in tasks})
    flow = workspace.flow_name(subject.flow_id)
    return Finding(
        check="retries-missing",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{name} fails of others' faults and is not tried again",
        detail=(
            "A service that did not answer, or not in time, often answers a minute later. Neither"
            " the flow nor the tasks that failed allow a retry, so each such moment is a failure."
        ),
        evidence=(
            Evidence(
                f"{count(len(runs), 'run')} failed with category upstream or timeout and no retries"
                f" allowed, which took {duration(lost)}. After {found.recovered:,} of them the next"
                " run succeeded."
                + (f" Failed tasks without retries: {', '.join(names[:5])}." if names else ""),
                {
                    "failures": len(runs),
                    "recovered": found.recovered,
                    "seconds": lost,
                    "retries": 0,
                    "failed_tasks": len(names),
                },
                run_links(workspace, (run.id for run in runs)),
            ),
        ),
        action=task_retries(names[0]) if len(names) == 1 else flow_retries(flow),
        hours=lost / 3600 / weeks,
        failures=found.recovered / weeks,
        owner=workspace.owner(subject),
    )
