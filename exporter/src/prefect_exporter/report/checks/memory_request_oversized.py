"""A deployment asks for much more memory than its runs ever used."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Cell, Effort, Evidence, Finding, Severity
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.resources.changes import memory_text, set_request
from prefect_exporter.report.resources.measured import Measured, measured
from prefect_exporter.report.resources.requests import Setting
from prefect_exporter.report.usage import PeakMemory, Usage
from prefect_exporter.report.words import duration, share, size
from prefect_exporter.report.workspace import Workspace

SECTION = "resources"

FEWEST_RUNS = 10

MOST_USED = 0.4
"""Highest peak by request: more than half of it never used."""

LEAST_BYTES = 256 * 2**20
"""Requested and not used: less is not worth a deployment."""

ROOM = 1.5
"""How much of the highest peak is asked for: programs that the run starts are not in it."""


def check(workspace: Workspace, usage: Usage) -> Iterator[Finding]:
    """Return the deployments whose highest peak, by the bucket above it, is far below."""
    for each in measured(workspace, usage):
        asked, memory = each.requests.memory, each.memory
        if asked and memory and memory.runs >= FEWEST_RUNS and _is_oversized(asked, memory):
            yield _finding(workspace, each, asked, memory)


def _is_oversized(asked: Setting, memory: PeakMemory) -> bool:
    small = memory.at_most <= MOST_USED * asked.amount
    return small and asked.amount - ROOM * memory.at_most >= LEAST_BYTES


def _finding(workspace: Workspace, each: Measured, asked: Setting, memory: PeakMemory) -> Finding:
    name = workspace.name(each.subject)
    enough = memory_text(each.work_pool, workspace, ROOM * memory.at_most)
    spared = (asked.amount - ROOM * memory.at_most) / 2**30 * each.seconds / 3600
    numbers: dict[str, Cell] = {
        "runs": round(memory.runs),
        "requested_bytes": round(asked.amount),
        "peak_at_most_bytes": round(memory.at_most),
        "mean_peak_bytes": round(memory.mean),
        "spared_gib_hours": round(spared, 2),
    }
    price = workspace.question.prices.memory_gib_hour
    if price:
        numbers["spared_cost_a_week"] = round(spared * price / workspace.period.weeks, 2)
    return Finding(
        check="memory-request-oversized",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"{name} asks for {size(asked.amount)} of memory and uses {size(memory.at_most)}",
        detail=(
            "What a job asks for is set aside for it whether it uses it or not: fewer run at once"
            " on a machine, or more machines are paid."
        ),
        evidence=(
            Evidence(
                f"The highest peak of {memory.runs:.0f} runs was {size(memory.at_most)} at most,"
                f" {share(memory.at_most / asked.amount)} of the request, the mean"
                f" {size(memory.mean)}; they ran for {duration(each.seconds)}.",
                numbers,
                (subject_link(workspace, each.subject),),
            ),
        ),
        action=Action(
            change=set_request(workspace, each, asked, enough, "memory"),
            effort=Effort.MINUTES,
            risk="A run with more data than any of these, or a program that it starts, is killed.",
            rollback=set_request(workspace, each, asked, asked.text, "memory"),
        ),
        owner=workspace.owner(each.subject),
    )
