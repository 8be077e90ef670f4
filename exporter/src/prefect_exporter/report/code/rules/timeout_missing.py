"""A flow that asks other machines may run for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prefect_exporter.report.code.evidence import Place, Rule, at, decorated
from prefect_exporter.report.code.network import waits
from prefect_exporter.report.code.sources import Project, Runnable, Source, calls_in
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-timeout-missing",
    severity=Severity.LOW,
    title="{subject} asks other machines and has no timeout",
    detail="Nothing ends a run that hangs. A timeout a few times as long as the longest good run "
    "lets it fail, be tried again and be told of.",
    effort=Effort.MINUTES,
    risk="a run that is slow but alive fails when the time is up",
)


def timeout_missing(project: Project) -> Iterable[Finding]:
    """Tell of flows without a timeout that wait for the network, themselves or in a task."""
    return RULE.findings(
        (flow.name, place)
        for source in project.sources
        for flow in source.of_kind("flow")
        if not flow.sets("timeout_seconds")
        for place in _places(source, flow)
    )


def _places(source: Source, flow: Runnable) -> Iterator[Place]:
    waiting = next(_waiting(source, flow), None)
    if waiting:
        change = decorated(flow, "timeout_seconds=3600")
        text = f"flow {flow.node.name} has no timeout_seconds, and calls {waiting}"
        yield at(source, flow.node, text, change)


def _waiting(source: Source, flow: Runnable) -> Iterator[str]:
    """Yield what waits for the network, but for what a task of its own bounds."""
    for call in calls_in(flow.node):
        if waits(source, call):
            yield source.called(call)
        found = source.task_called(call)
        if found and not found[0].sets("timeout_seconds"):
            task = found[0]
            inner = (each for each in calls_in(task.node) if waits(source, each))
            yield from (f"{source.called(each)} in {task.node.name}" for each in inner)
