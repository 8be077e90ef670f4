"""Runs that Prefect believes to be under way, and that most likely are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.hazards.stuck import Stuck, stuck
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ()


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows with such runs; ``stuck`` says when a run is."""
    found: dict[Subject, list[Stuck]] = {}
    for each in stuck(workspace):
        found.setdefault(Subject(each.run.flow_id, each.run.deployment_id), []).append(each)
    for subject, runs in found.items():
        yield _finding(workspace, subject, runs)


def _finding(workspace: Workspace, subject: Subject, runs: Sequence[Stuck]) -> Finding:
    name, longest, usual = workspace.name(subject), runs[0].seconds, runs[0].usual
    states = Counter(each.run.state_name for each in runs)
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
    return Finding(
        check="runs-stuck",
        section=SECTION,
        severity=Severity.HIGH,
        subject=name,
        title=f"{count(len(runs), 'run')} of {name} under way for up to {duration(longest)}",
        detail=(
            "Its process has most likely died without telling Prefect, or waits for what will not"
            " come. Until it ends it holds its slots, and no alert of a failure is sent."
        ),
        evidence=(
            Evidence(
                f"{told}: the oldest for {duration(longest)}"
                + (f", where 95 % of the completed runs took {duration(usual)}." if usual else "."),
                {
                    "runs": len(runs),
                    "longest_seconds": longest,
                    "p95_seconds": usual,
                    **{f"runs_{state.lower()}": number for state, number in states.items()},
                },
                run_links(workspace, (each.run.id for each in runs)),
            ),
        ),
        action=_action(runs),
        owner=workspace.owner(subject),
    )


def _action(runs: Sequence[Stuck]) -> Action:
    first = runs[0].run
    # A run that is being cancelled already waits for a process that would confirm it.
    verb = "delete" if first.state_type == "CANCELLING" else "cancel"
    change = command("prefect", "flow-run", verb, str(UUID(bytes=first.id)))
    more = f"  # and the {len(runs) - 1:,} others" if len(runs) > 1 else ""
    return Action(
        change + more,
        Effort.MINUTES,
        "If it works after all, its work is lost: look at its newest log lines before.",
        "Run the deployment again.",
    )
