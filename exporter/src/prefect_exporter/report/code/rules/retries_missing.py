"""A task asks another machine once, and takes its first failure for the last word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prefect_exporter.report.code.evidence import Place, Rule, at, decorated
from prefect_exporter.report.code.network import RETRYING, waits
from prefect_exporter.report.code.sources import Project, Source, calls_in
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-retries-missing",
    severity=Severity.MEDIUM,
    title="{number} tasks of {subject} ask other machines and are never tried again",
    detail="A dropped connection or a restart on the other side fails the whole run, though a "
    "second attempt some seconds later would have worked. (PREFECT_TASK_DEFAULT_RETRIES, if it is "
    "set where the flow runs, cannot be seen here.)",
    effort=Effort.MINUTES,
    risk="what changes something over there may do it twice: try only what can be repeated",
)


def retries_missing(project: Project) -> Iterable[Finding]:
    """Tell of tasks without retries, in files that do not try again by other means."""
    return RULE.findings(
        (source.place, place)
        for source in project.sources
        if not source.uses(*RETRYING)
        and not any(flow.sets("retries") for flow in source.of_kind("flow"))
        for place in _places(source)
    )


def _places(source: Source) -> Iterator[Place]:
    for task in source.of_kind("task"):
        call = next((each for each in calls_in(task.node) if waits(source, each)), None)
        if call and not task.sets("retries"):
            change = decorated(task, "retries=3, retry_delay_seconds=[1, 10, 60]")
            text = f"task {task.node.name} calls {source.called(call)} and has no retries"
            yield at(source, task.node, text, change)
