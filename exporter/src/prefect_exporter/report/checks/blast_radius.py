"""Something that fails often, while much fails with it or waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.records import Verdict, record_of
from prefect_exporter.report.graph.drawn import name_of
from prefect_exporter.report.graph.network import network
from prefect_exporter.report.mends import flow_retries
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command, listed
from prefect_exporter.report.words import share
from prefect_exporter.report.workspace import RunStats, Subject, Workspace

SECTION = "dependencies"

FEWEST_FAILED = 3
"""Failed runs: fewer may be one incident."""

LEAST_SHARE = 0.2
"""Of its runs that fail: less is for its own owner to see."""

FEWEST_HURT = 3
"""Other flows and deployments that fail with it, or do not start."""

HIGH_HURT = 10
"""So many make it the first thing to mend."""

_FAILED = (
    "SELECT id FROM flow_runs WHERE flow_id = ? AND deployment_id = ? AND ended_us >= ?"
    " AND ended_us < ? AND state_type IN ('FAILED', 'CRASHED') ORDER BY ended_us DESC, id"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find what fails at least every fifth time, and hurts at least three others."""
    of_it = network(workspace)
    for node in of_it.nodes:
        subject = of_it.subjects.get(node)
        stats = workspace.stats.get(subject) if subject else None
        if subject is None or stats is None or stats.failed < FEWEST_FAILED:
            continue
        hurt = of_it.hurt_by(node)
        if stats.failed >= LEAST_SHARE * stats.ended and len(hurt) >= FEWEST_HURT:
            yield _finding(workspace, subject, stats, hurt)


def _finding(
    workspace: Workspace, subject: Subject, stats: RunStats, hurt: frozenset[str]
) -> Finding:
    of_it, name = network(workspace), workspace.name(subject)
    names = sorted(name_of(workspace, of_it, each) for each in hurt)
    failed = stats.failed / stats.ended
    evidence = Evidence(
        f"{stats.failed:,} of {stats.ended:,} runs failed ({share(failed)});"
        f" {len(names)} others call it or start after it: {listed(names)}.",
        {"runs": stats.ended, "failed": stats.failed, "hurt": len(names)},
        run_links(workspace, _failed_runs(workspace, subject)),
    )
    return Finding(
        check="blast-radius",
        section=SECTION,
        severity=Severity.HIGH if len(names) >= HIGH_HURT else Severity.MEDIUM,
        subject=name,
        title=f"{name} fails in {share(failed)} of its runs, and {len(names)} others hang on it",
        detail="Mend it before what comes after it: their failures may be its own.",
        evidence=(evidence,),
        action=_action(workspace, subject),
        failures=round(stats.failed / workspace.period.weeks, 2),
        owner=workspace.owner(subject),
    )


def _action(workspace: Workspace, subject: Subject) -> Action:
    record = record_of(workspace, subject)
    if record is None or record.verdict is not Verdict.BROKEN:
        return flow_retries(workspace.flow_name(subject.flow_id))
    # What always fails, fails the next time too.
    newest = str(UUID(bytes=record.examples[0]))
    return Action(
        f"{command('prefect', 'flow-run', 'logs', newest)}  # mend what it says",
        Effort.HOURS,
        "None beyond the change's own.",
        "Deploy the version before.",
    )


def _failed_runs(workspace: Workspace, subject: Subject) -> Iterator[bytes]:
    period = workspace.period
    values = (*subject, period.since_us, period.until_us)
    return (run_id for (run_id,) in workspace.database.execute(_FAILED, values))
