"""Who starts whom, as arrows: by the runs that were read, and by what automations say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.report.graph.automations import Heard, Sources, actions, waits_for
from prefect_exporter.report.graph.triggers import Leaf
from prefect_exporter.report.wire import ToldAutomation
from prefect_exporter.report.workspace import NO_DEPLOYMENT, Subject, Workspace

SUBFLOW, RUN_DEPLOYMENT, AUTOMATION, EVENT = "subflow", "run_deployment", "automation", "event"

_MOST_NAMES = 3

MOST_HEARD = 20
"""An automation that waits for more flows than that waits for one event of any flow."""

_CHILDREN = (
    "SELECT parent.flow_id, parent.deployment_id, child.flow_id, child.deployment_id, count(*)"
    " FROM flow_runs AS child JOIN task_runs AS place ON place.id = child.parent_task_run_id"
    " JOIN flow_runs AS parent ON parent.id = place.flow_run_id"
    " WHERE child.parent_task_run_id != x'' AND coalesce(child.ended_us, :until) >= :since"
    " AND coalesce(child.started_us, child.expected_us, child.created_us) < :until"
    " GROUP BY 1, 2, 3, 4"
)
_CREATED = (
    "SELECT creator_id, flow_id, deployment_id, count(*) FROM flow_runs"
    " WHERE creator_type = 'AUTOMATION' AND coalesce(ended_us, :until) >= :since"
    " AND coalesce(started_us, expected_us, created_us) < :until GROUP BY 1, 2, 3"
)


@dataclass(frozen=True, slots=True)
class Arrow:
    """One thing starts another.

    Args:
        source, target: Ids of nodes: ``deployment:<id>``, ``flow:<id>``, ``automation:<id>`` or
            ``event:<name>``.
        runs: That were started so in the period, as far as they were read.
        by_failure: It starts only where the source ends badly.
        by_absence: It starts where the source does not run.
    """

    source: str
    target: str
    kind: str
    runs: int = 0
    by_failure: bool = False
    by_absence: bool = False

    @property
    def hurts(self) -> bool:
        """Whether the target misses something where the source fails."""
        return not (self.by_failure or self.by_absence)


def node_of(subject: Subject) -> str:
    """Return the id of a deployment's node, or of a flow's that runs without one."""
    if subject.deployment_id == NO_DEPLOYMENT:
        return f"flow:{UUID(bytes=subject.flow_id)}"
    return f"deployment:{UUID(bytes=subject.deployment_id)}"


def arrows(workspace: Workspace) -> list[Arrow]:
    """Return all arrows of a workspace; disabled automations have none."""
    created = _created(workspace)
    found = list(_children(workspace))
    started = {node_of(to) for each in created.values() for to in each}
    for automation in workspace.catalog.automations:
        if automation.enabled:
            targets = _targets(workspace, automation, created.get(str(automation.id), {}))
            started |= {each.target for each in targets}
            found += targets
    sources = Sources(workspace)
    for automation in workspace.catalog.automations:
        if automation.enabled and _starts(automation):
            found += _heard_by(automation, sources, started)
    return found


def _values(workspace: Workspace) -> dict[str, int]:
    return {"since": workspace.period.since_us, "until": workspace.period.until_us}


def _children(workspace: Workspace) -> Iterator[Arrow]:
    rows = workspace.database.execute(_CHILDREN, _values(workspace))
    for flow, deployment, child_flow, child_deployment, runs in rows:
        kind = RUN_DEPLOYMENT if child_deployment else SUBFLOW
        parent, child = Subject(flow, deployment), Subject(child_flow, child_deployment)
        yield Arrow(node_of(parent), node_of(child), kind, runs)


def _created(workspace: Workspace) -> Mapping[str, Counter[Subject]]:
    """Return how many runs automations made, by the automation's id."""
    made: dict[str, Counter[Subject]] = {}
    for key, flow, deployment, runs in workspace.database.execute(_CREATED, _values(workspace)):
        made.setdefault(key, Counter())[Subject(flow, deployment)] += runs
    return made


def _starts(automation: ToldAutomation) -> bool:
    return any(True for _ in actions(automation, "run-deployment"))


def _targets(
    workspace: Workspace, automation: ToldAutomation, made: Mapping[Subject, int]
) -> list[Arrow]:
    runs = {node_of(subject): number for subject, number in made.items()}
    for key in actions(automation, "run-deployment"):
        # One that is gone is no node: a check of its own tells it.
        if key is not None and key.bytes in workspace.catalog.deployments:
            runs.setdefault(f"deployment:{key}", 0)
    source = f"automation:{automation.id}"
    return [Arrow(source, target, AUTOMATION, number) for target, number in runs.items()]


def _heard_by(automation: ToldAutomation, sources: Sources, started: set[str]) -> Iterator[Arrow]:
    target = f"automation:{automation.id}"
    for leaf in waits_for(automation):
        known = sources.heard(leaf)
        if known is None or not known.subjects:
            yield Arrow(f"event:{event_name(leaf)}", target, EVENT, by_absence=leaf.absence)
        elif len(known.subjects) <= MOST_HEARD:
            yield from _heard(known, target)
        else:
            event = f"event:{event_name(leaf)} of any flow"
            yield Arrow(event, target, EVENT, by_absence=leaf.absence)
            # What automations start may close a circle, so that it is not left out.
            few = frozenset(each for each in known.subjects if node_of(each) in started)
            yield from _heard(Heard(few, known.by_failure, known.by_absence), event)


def _heard(known: Heard, target: str) -> Iterator[Arrow]:
    for subject in sorted(known.subjects):
        yield Arrow(
            node_of(subject),
            target,
            EVENT,
            by_failure=known.by_failure,
            by_absence=known.by_absence,
        )


def event_name(leaf: Leaf) -> str:
    """Return what a leaf waits for, in short."""
    if leaf.metric:
        return f"metric {leaf.metric}"
    more = " or others" if len(leaf.events) > _MOST_NAMES else ""
    return (" or ".join(leaf.events[:_MOST_NAMES]) or "any") + more
