"""What automations start, and whose runs they wait for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.report.graph.triggers import RESOURCE_ID, Labels, Leaf, leaves
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.wire import ToldAutomation
from prefect_exporter.report.workspace import Subject, Workspace

GOOD_ENDS = ("prefect.flow-run.Completed", "prefect.flow-run.Cached")
BAD_ENDS = tuple(
    f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut", "Cancelled")
)
_STARTS = tuple(
    f"prefect.flow-run.{state}" for state in ("Scheduled", "Pending", "Running", "Late")
)
_ANY_RUN = {RESOURCE_ID: "prefect.flow-run."}
_MOST_ACTIONS = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """Whose runs an automation waits for.

    Args:
        subjects: Whose events it acts on.
        by_failure: Only where their runs end badly.
        by_absence: Where their events do not come.
    """

    subjects: frozenset[Subject]
    by_failure: bool = False
    by_absence: bool = False


def actions(automation: ToldAutomation, kind: str) -> Iterator[UUID | None]:
    """Return the deployments that actions of a kind are about; None for the event's own."""
    for action in automation.actions[:_MOST_ACTIONS]:
        if action.get("type") != kind:
            continue
        if action.get("source") == "inferred":
            yield None
        elif (key := _uuid(action.get("deployment_id"))) is not None:
            yield key


@remembered
def selected(workspace: Workspace) -> frozenset[UUID]:
    """Return the deployments that some automation starts, disabled ones included."""
    every = workspace.catalog.automations
    return frozenset(key for each in every for key in actions(each, "run-deployment") if key)


class Sources:
    """All flows and deployments, and what the events of their runs are related to."""

    def __init__(self, workspace: Workspace) -> None:
        catalog = workspace.catalog
        told = catalog.deployments.items()
        known = {Subject(each.flow_id.bytes, key) for key, each in told} | set(workspace.stats)
        self._related = {each: _related(workspace, each) for each in sorted(known)}
        self._by_id: dict[str, set[Subject]] = {}
        for subject, labels in self._related.items():
            for each in labels:
                self._by_id.setdefault(each.get(RESOURCE_ID, ""), set()).add(subject)

    def heard(self, leaf: Leaf) -> Heard | None:
        """Return whose flow runs a leaf waits for; None where it waits for something else."""
        good = any(leaf.hears(event) for event in (*GOOD_ENDS, *_STARTS))
        bad = any(leaf.hears(event) for event in BAD_ENDS)
        own = any(event.startswith("prefect.flow-run.") for event in leaf.events)
        # Which run it is cannot be known: a pattern of one run's id fits none.
        if leaf.metric or not (good or bad or own) or not leaf.covers(_ANY_RUN):
            return None
        found = (each for each in self._near(leaf) if leaf.covers_related(self._related[each]))
        return Heard(frozenset(found), by_failure=bad and not good, by_absence=leaf.absence)

    def _near(self, leaf: Leaf) -> Collection[Subject]:
        """Return those that may fit, by the ids that a leaf names: a thousand need not be tried."""
        near = None
        for ids in leaf.named:
            found = {subject for each in ids for subject in self._by_id.get(each, ())}
            near = found if near is None else near & found
        return self._related if near is None else near


def waits_for(automation: ToldAutomation) -> list[Leaf]:
    """Return what an automation waits for."""
    return leaves(automation.trigger)


def _related(workspace: Workspace, subject: Subject) -> list[Labels]:
    catalog = workspace.catalog
    flow = catalog.flows.get(subject.flow_id)
    deployment = catalog.deployments.get(subject.deployment_id)
    tags = {*(flow.tags if flow else ()), *(deployment.tags if deployment else ())}
    labels = [_resource("flow", flow.id, flow.name)] if flow else []
    if deployment:
        labels.append(_resource("deployment", deployment.id, deployment.name))
        if pool := deployment.work_pool_name:
            labels.append({"prefect.resource.role": "work-pool", "prefect.resource.name": pool})
        if queue := deployment.work_queue_name:
            labels.append({"prefect.resource.role": "work-queue", "prefect.resource.name": queue})
    return [*labels, *(_tag(each) for each in sorted(tags))]


def _tag(tag: str) -> Labels:
    return {RESOURCE_ID: f"prefect.tag.{tag}", "prefect.resource.role": "tag"}


def _resource(role: str, key: UUID, name: str) -> Labels:
    return {
        RESOURCE_ID: f"prefect.{role}.{key}",
        "prefect.resource.role": role,
        "prefect.resource.name": name,
    }


def _uuid(told: object) -> UUID | None:
    try:
        return UUID(told) if isinstance(told, str) else None
    except ValueError:
        return None
