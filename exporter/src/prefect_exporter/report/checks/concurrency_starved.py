"""Deployments whose runs wait long for a slot of their concurrency limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.moments import MINUTE, SECOND
from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ()

LEAST_WAIT_US = 30 * MINUTE
"""Of one run for a slot; a limit is there to make runs wait, but not for ever."""

_WAITING = (
    "WHERE state_name = 'AwaitingConcurrencySlot' AND ended_us IS NULL AND expected_us < ?"
    " ORDER BY expected_us"
)
_HOLDING = (
    "WHERE flow_id = ? AND deployment_id = ? AND ended_us IS NULL"
    " AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING') ORDER BY started_us"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the deployments whose runs wait now."""
    before_us = workspace.question.now_us - LEAST_WAIT_US
    waiting: dict[Subject, list[FlowRunRow]] = {}
    for run in workspace.flow_runs(_WAITING, (before_us,)):
        waiting.setdefault(Subject(run.flow_id, run.deployment_id), []).append(run)
    for subject, runs in waiting.items():
        yield _finding(workspace, subject, runs)


def _finding(workspace: Workspace, subject: Subject, runs: Sequence[FlowRunRow]) -> Finding:
    name, now_us = workspace.name(subject), workspace.question.now_us
    waits = [(now_us - run.expected_us) / SECOND for run in runs if run.expected_us is not None]
    holding = list(workspace.flow_runs(_HOLDING, subject))
    deployment = workspace.catalog.deployments.get(subject.deployment_id)
    limit = deployment.global_concurrency_limit if deployment else None
    slots = limit.limit if limit else None
    return Finding(
        check="concurrency-starved",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{count(len(runs), 'run')} of {name} wait for a slot, up to {duration(max(waits))}",
        detail=(
            "They wait for a concurrency limit. Either the limit is too low for the schedule, or"
            " the runs that hold its slots do not end."
        ),
        evidence=(
            Evidence(
                f"{count(len(runs), 'run')} in state AwaitingConcurrencySlot,"
                f" {duration(sum(waits))} of waiting together. Limit:"
                f" {'not known' if slots is None else slots}. Holding or taking slots now:"
                f" {count(len(holding), 'run')}.",
                {
                    "waiting": len(runs),
                    "longest_seconds": max(waits),
                    "waiting_seconds": sum(waits),
                    "limit": slots,
                    "holding": len(holding),
                },
                run_links(workspace, [*(run.id for run in holding[:3]), runs[0].id, runs[-1].id]),
            ),
        ),
        action=_action(name, limit.name if limit else None, slots or 0, len(runs)),
        hours=_hours(workspace, waits),
        owner=workspace.owner(subject),
    )


def _hours(workspace: Workspace, waits: Sequence[float]) -> float:
    """Return the hours of waiting a week; what was waited before the period is none of it."""
    period = workspace.period
    longest = (period.until_us - period.since_us) / SECOND
    return sum(min(each, longest) for each in waits) / 3600 / period.weeks


def _action(name: str, limit: str | None, slots: int, waiting: int) -> Action:
    if limit is None:
        return Action(
            command("prefect-exporter", "why-late", name),
            Effort.MINUTES,
            "None: it looks, and names the limit and the runs that hold it.",
            "Nothing to take back.",
        )
    update = ("prefect", "global-concurrency-limit", "update", limit, "--limit")
    return Action(
        command(*update, str(slots + min(waiting, max(slots, 1)))),
        Effort.MINUTES,
        "More runs work at once: what they share must bear it.",
        command(*update, str(slots)),
    )
