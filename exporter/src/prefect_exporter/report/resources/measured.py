"""What each deployment asks for beside what it used, where both are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.report.resources.pools import requested, spent
from prefect_exporter.report.resources.requests import Requests
from prefect_exporter.report.usage import Name, PeakMemory, Usage
from prefect_exporter.report.workspace import Subject, Workspace


@dataclass(frozen=True, slots=True)
class Measured:
    """One deployment in the work pool in which most of its runs ran.

    Args:
        runs: That ended in the period; *crashed* of them.
        seconds: Of them all together.
        memory: None where nothing was told of it.
        cores: Used on the average; likewise.
    """

    work_pool: str
    subject: Subject
    runs: int
    crashed: int
    seconds: float
    requests: Requests
    memory: PeakMemory | None
    cores: float | None


def measured(workspace: Workspace, usage: Usage) -> Sequence[Measured]:
    """Return the deployments of which something was asked and something was used, by name.

    One whose tasks run in processes of their own is left out: no process is the whole of it.
    """
    found: dict[Subject, Measured] = {}
    for each in sorted(spent(workspace), key=lambda each: each.seconds):
        name = _name(workspace, each.subject)
        memory, cpu = usage.memory.get(name), usage.cpu_seconds.get(name)
        if name in usage.spread or (memory is None and cpu is None):
            continue
        cores = cpu / each.seconds if cpu is not None and each.seconds else None
        asked = requested(workspace, each.work_pool, each.subject)
        if asked != Requests():
            found[each.subject] = Measured(
                each.work_pool,
                each.subject,
                each.runs,
                each.crashed,
                each.seconds,
                asked,
                memory,
                cores,
            )
    return sorted(found.values(), key=lambda each: workspace.name(each.subject))


def _name(workspace: Workspace, subject: Subject) -> Name:
    deployment = workspace.catalog.deployments.get(subject.deployment_id)
    return Name(workspace.flow_name(subject.flow_id), deployment.name if deployment else "")
