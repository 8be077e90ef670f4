"""A call waits for another machine without a bound of time."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_exporter.report.code.evidence import Rule, at, subject_of
from prefect_exporter.report.code.network import waits_for_ever
from prefect_exporter.report.code.sources import Project, calls_in
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-network-timeout-missing",
    severity=Severity.MEDIUM,
    title="{subject} waits for the network without an end ({number} calls)",
    detail="A peer that never answers holds the run, its slot and its worker until somebody "
    "notices: nothing fails, so nothing is tried again and nobody is told.",
    effort=Effort.MINUTES,
    risk="an answer that takes longer than the timeout fails",
)
SECONDS = 30


def network_timeout_missing(project: Project) -> Iterable[Finding]:
    """Tell of calls in flows and tasks that have no timeout and are in none."""
    return RULE.findings(
        (
            subject_of(source, each),
            at(
                source,
                call,
                f"{source.called(call)} in {each.node.name} has no timeout",
                f"{source.called(call)}(..., timeout={SECONDS})",
            ),
        )
        for source in project.sources
        for each in source.runnables.values()
        if not each.sets("timeout_seconds")
        for call in calls_in(each.node)
        if waits_for_ever(source, call)
    )
