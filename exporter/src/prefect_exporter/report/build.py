"""Look at a workspace from all sides, and put what was seen together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prefect_exporter import __version__
from prefect_exporter.report.checks import CHECKS, USAGE_CHECKS
from prefect_exporter.report.model import Finding, Report, Scope, Section, Severity
from prefect_exporter.report.parts import part_id, tried
from prefect_exporter.report.sections import sections
from prefect_exporter.report.unread import unread
from prefect_exporter.report.usage import Usage
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import GONE, Workspace

NEEDS = ("flow runs",)
"""What a check is silent without, unless its module has a ``NEEDS`` of its own."""

_SEVERITIES = list(Severity)
_COUNT_FLOW_RUNS = "SELECT count(*) FROM flow_runs WHERE ended_us >= ? AND ended_us < ?"
_COUNT_TASK_RUNS = "SELECT count(*) FROM task_runs"


def build(
    workspace: Workspace,
    *,
    extra_findings: Sequence[Finding] = (),
    usage: Usage | None = None,
    requests: int = 0,
    notes: Sequence[str] = (),
) -> Report:
    """Return the report of a workspace.

    A check or a section that fails is a note of the report, and does not end it.

    Args:
        workspace: What was read.
        extra_findings: Of those who look at something else, such as code.
        usage: What Prometheus knows of the runs; None where nobody was asked.
        requests: How many it took.
        notes: What a reader has to know of the reading.
    """
    said = [*notes, *_unknown_flows(workspace)]
    there = [each for each in _findings(workspace, usage, said) if not _is_gone(each)]
    findings = ranked([*there, *extra_findings])
    made = tuple(_sections(workspace, findings, usage, said))
    scope = _scope(workspace, requests, tuple(sorted(set(said))))
    generated = rfc3339(workspace.question.now_us)
    return Report(generated, __version__, scope, made, tuple(findings))


def _unknown_flows(workspace: Workspace) -> Iterator[str]:
    names = {each.name for each in workspace.catalog.flows.values()}
    for name in workspace.question.flows:
        if name not in names:
            yield f"No flow is called {name!r}."


def _is_gone(finding: Finding) -> bool:
    """Return whether it is about a deployment or a flow that was deleted: that is its mend."""
    return finding.subject == GONE or finding.subject.endswith(f"/{GONE}")


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return each finding once, those first that cost most."""
    once = {(each.check, each.subject): each for each in reversed(findings)}
    return sorted(once.values(), key=_rank)


def _rank(finding: Finding) -> tuple[int, float, float, str, str]:
    saved = -(finding.hours or 0.0), -(finding.failures or 0.0)
    return _SEVERITIES.index(finding.severity), *saved, finding.subject, finding.check


def _findings(workspace: Workspace, usage: Usage | None, said: list[str]) -> Iterator[Finding]:
    lacking = unread(workspace.store)
    fit = [each for each in CHECKS if lacking.isdisjoint(getattr(each, "NEEDS", NEEDS))]
    if left_out := [part_id(each.__name__) for each in CHECKS if each not in fit]:
        said.append(f"Not looked for, as not all that tells it was read: {', '.join(left_out)}.")
    for module in fit:
        yield from tried(module.__name__, _all(module.check, workspace), said) or ()
    for module in USAGE_CHECKS if usage and lacking.isdisjoint(NEEDS) else ():
        yield from tried(module.__name__, _all(module.check, workspace, usage), said) or ()


def _all(check: Callable[..., Iterator[Finding]], *given: object) -> Callable[[], list[Finding]]:
    return lambda: list(check(*given))


def _sections(
    workspace: Workspace, findings: Sequence[Finding], usage: Usage | None, said: list[str]
) -> Iterator[Section]:
    for name, make in sections(workspace, findings, usage):
        if section := tried(name, make, said):
            yield section


def _scope(workspace: Workspace, requests: int, notes: tuple[str, ...]) -> Scope:
    question, period = workspace.question, workspace.period
    values = (period.since_us, period.until_us)
    (flow_runs,) = workspace.database.execute(_COUNT_FLOW_RUNS, values).fetchone()
    (task_runs,) = workspace.database.execute(_COUNT_TASK_RUNS).fetchone()
    return Scope(
        target=question.target,
        url=question.api_url,
        since=rfc3339(period.since_us),
        until=rfc3339(period.until_us),
        compared_since=rfc3339(period.before.since_us) if question.compare else None,
        flows=question.flows,
        tags=question.tags,
        flow_runs=flow_runs,
        task_runs=task_runs,
        requests=requests,
        notes=notes,
    )
