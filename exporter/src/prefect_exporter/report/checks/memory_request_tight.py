"""A deployment's runs use nearly all the memory that they may have, or did until they crashed."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.resources.changes import memory_text, set_request
from prefect_exporter.report.resources.measured import Measured, measured
from prefect_exporter.report.resources.requests import Setting
from prefect_exporter.report.usage import PeakMemory, Usage
from prefect_exporter.report.words import count, share, size
from prefect_exporter.report.workspace import Workspace

SECTION = "resources"

FEWEST_RUNS = 5

LEAST_USED = 0.9
"""Peak by limit: the rest is what a little more data takes."""

ROOM = 1.5
"""How many times the peak is enough."""


def check(workspace: Workspace, usage: Usage) -> Iterator[Finding]:
    """Return the deployments whose highest or mean peak is surely near what they may have.

    A run that is killed for want of memory tells no peak, so that those that are known are lower.
    """
    for each in measured(workspace, usage):
        limit, memory = each.requests.memory_limit or each.requests.memory, each.memory
        if limit and memory and memory.runs >= FEWEST_RUNS:
            peak = max(memory.at_least, memory.mean)
            if peak >= LEAST_USED * limit.amount:
                yield _finding(workspace, each, limit, memory, peak)


def _finding(
    workspace: Workspace, each: Measured, limit: Setting, memory: PeakMemory, peak: float
) -> Finding:
    name = workspace.name(each.subject)
    enough = memory_text(each.work_pool, workspace, ROOM * peak)
    crashed = f"; {count(each.crashed, 'run')} crashed" if each.crashed else ""
    return Finding(
        check="memory-request-tight",
        section=SECTION,
        severity=Severity.HIGH if each.crashed else Severity.MEDIUM,
        subject=name,
        title=f"{name} uses {share(peak / limit.amount)} of its {size(limit.amount)} of memory",
        detail=(
            "A little more data and its runs are killed: they crash, without a traceback and"
            " without having told how much they used."
        ),
        evidence=(
            Evidence(
                f"The peak of {memory.runs:.0f} runs was {size(memory.mean)} on the average, the"
                f" highest above {size(memory.at_least)}, and {size(limit.amount)} is what they"
                f" may have{crashed}.",
                {
                    "runs": round(memory.runs),
                    "limit_bytes": round(limit.amount),
                    "peak_at_least_bytes": round(memory.at_least),
                    "mean_peak_bytes": round(memory.mean),
                    "crashed": each.crashed,
                },
                (subject_link(workspace, each.subject),),
            ),
        ),
        action=Action(
            change=set_request(workspace, each, limit, enough, "memory"),
            effort=Effort.MINUTES,
            risk="Fewer runs fit on a machine.",
            rollback=set_request(workspace, each, limit, limit.text, "memory"),
        ),
        failures=each.crashed / workspace.period.weeks if each.crashed else None,
        owner=workspace.owner(each.subject),
    )
