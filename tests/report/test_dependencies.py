"""Who starts whom: arrows, reach, circles and blasts, and what must not be called one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import pytest

from prefect_exporter.report.checks import (
    automation_targets_missing,
    blast_radius,
    dependency_cycle,
)
from prefect_exporter.report.graph.network import network
from prefect_exporter.report.model import Graph, Severity
from prefect_exporter.report.sections.dependencies import section
from report.events import runs, when
from report.world import DAY, HOUR
from report.worlds import WorldBuilder, workspace

COMPLETED = "prefect.flow-run.Completed"


@pytest.fixture(name="world")
def _world() -> Iterator[WorldBuilder]:
    with workspace() as world:
        yield world


def _graph(world: WorldBuilder) -> Graph:
    (graph,) = section(world.workspace).graphs
    return graph


def _edges(graph: Graph) -> list[tuple[str, str, str, int]]:
    names = {each.id: each.name for each in graph.nodes}
    return sorted((names[e.source], names[e.target], e.kind, e.runs) for e in graph.edges)


def _fails(world: WorldBuilder, flow: UUID, deployment: UUID | None, *, failed: int) -> None:
    for number in range(10):
        state = "Failed" if number < failed else "Completed"
        world.run(flow, deployment, ended_ago=(number + 1) * HOUR, state=state)


class TestArrows:
    """What starts what, and how often."""

    def test_subflows_and_runs_of_deployments_are_told_apart(self, world: WorldBuilder) -> None:
        """An inline subflow has no deployment; both arrows count the runs of the period."""
        parent, child = world.flow("parent"), world.flow("child")
        nightly, remote = world.deployment(parent, "nightly"), world.deployment(child, "remote")
        for day in (1, 2, 9):
            run = world.run(parent, nightly, ended_ago=day * DAY, seconds=60)
            world.run(child, ended_ago=day * DAY, parent=run)
            world.run(child, remote, ended_ago=day * DAY, parent=run)
        graph = _graph(world)

        assert _edges(graph) == [
            ("parent/nightly", "child", "subflow", 2),
            ("parent/nightly", "child/remote", "run_deployment", 2),
        ]
        assert {each.name: (each.kind, each.runs, each.reach) for each in graph.nodes} == {
            "child": ("flow", 2, 0),
            "child/remote": ("deployment", 2, 0),
            "parent/nightly": ("deployment", 2, 2),
        }

    def test_nodes_lead_to_their_pages(self, world: WorldBuilder) -> None:
        """Deployments, flows and automations have a page of Prefect's, events have none."""
        parent, child = world.flow("parent"), world.flow("child")
        nightly = world.deployment(parent, "nightly")
        run = world.run(parent, nightly, ended_ago=HOUR, seconds=60)
        world.run(child, ended_ago=HOUR, parent=run)
        then = world.automation("then", when("file.arrived"), [runs(nightly)])
        links = world.workspace.question.links

        assert {each.name: each.link and each.link.url for each in _graph(world).nodes} == {
            "child": links.flow(child),
            "parent/nightly": links.deployment(nightly),
            "then": links.automation(then),
            "file.arrived": None,
        }

    @pytest.mark.parametrize("by", ["deployment", "flow", "tag", "name"])
    def test_automation_stands_between_what_it_hears_and_starts(
        self, world: WorldBuilder, by: str
    ) -> None:
        """A trigger finds its flow by deployment, flow, tag or name; runs are those it made."""
        source = world.flow("source", tags=["db"])
        made = world.deployment(source, "a")
        other = world.deployment(world.flow("other"), "b")
        target_flow = world.flow("target")
        target = world.deployment(target_flow, "c")
        resource = {
            "deployment": f"prefect.deployment.{made}",
            "flow": f"prefect.flow.{source}",
            "tag": "prefect.tag.db",
        }
        trigger = when(COMPLETED, resource[by]) if by in resource else when(COMPLETED)
        if by == "name":
            trigger["match_related"] = {
                "prefect.resource.role": "flow",
                "prefect.resource.name": "source",
            }
        key = world.automation("then", trigger, [runs(target)])
        run = world.run(target_flow, target, ended_ago=HOUR, creator=("AUTOMATION", str(key)))

        assert run
        assert other
        assert _edges(_graph(world)) == [
            ("source/a", "then", "event", 0),
            ("then", "target/c", "automation", 1),
        ]

    def test_disabled_automation_starts_nothing(self, world: WorldBuilder) -> None:
        """What is switched off is no arrow, but stands in the table."""
        deployment = world.deployment(world.flow("a"), "b")
        world.automation("off", when("x"), [runs(deployment)], enabled=False)
        made = section(world.workspace)

        assert made.graphs == ()
        assert made.tables[0].rows[0].cells == ("off", "no", "x", "runs a/b", 0)

    def test_event_of_others_is_a_node_of_its_own(self, world: WorldBuilder) -> None:
        """Who sends a custom event is not known; its name is."""
        deployment = world.deployment(world.flow("a"), "b")
        world.automation("on file", when("files.arrived"), [runs(deployment)])

        assert _edges(_graph(world)) == [
            ("files.arrived", "on file", "event", 0),
            ("on file", "a/b", "automation", 0),
        ]

    def test_trigger_of_any_flow_is_one_event(self, world: WorldBuilder) -> None:
        """Where everything is waited for, a thousand arrows would hide the graph."""
        flow = world.flow("many")
        for number in range(40):
            world.deployment(flow, f"d{number:02}")
        cleanup = world.deployment(world.flow("cleanup"), "now")
        world.automation("after any", when("prefect.flow-run.Failed"), [runs(cleanup)])

        assert _edges(_graph(world)) == [
            ("after any", "cleanup/now", "automation", 0),
            ("cleanup/now", "prefect.flow-run.Failed of any flow", "event", 0),
            ("prefect.flow-run.Failed of any flow", "after any", "event", 0),
        ]

    def test_deployment_of_the_event_is_known_by_its_runs(self, world: WorldBuilder) -> None:
        """An inferred target is no id: what the automation started tells."""
        flow = world.flow("a")
        deployment = world.deployment(flow, "b")
        action = {"type": "run-deployment", "source": "inferred"}
        key = world.automation("again", when("x"), [action])
        world.run(flow, deployment, ended_ago=HOUR, creator=("AUTOMATION", str(key)))

        assert ("again", "a/b", "automation", 1) in _edges(_graph(world))


class TestCycles:
    """What goes round, and what only looks so."""

    def test_circle_after_success_is_high_and_has_its_command(self, world: WorldBuilder) -> None:
        """Nothing ends it: the change pauses the automation, by its id."""
        deployment = world.deployment(world.flow("a"), "b")
        trigger = when(COMPLETED, f"prefect.deployment.{deployment}")
        key = world.automation("again", trigger, [runs(deployment)])
        (finding,) = dependency_cycle.check(world.workspace)

        assert finding.severity is Severity.HIGH
        assert finding.subject == "a/b"
        assert finding.action.change == f"prefect automation pause --id {key}"
        assert finding.evidence[0].numbers == {"length": 2, "runs": 0, "by_itself": True}

    def test_circle_of_any_flow_is_seen(self, world: WorldBuilder) -> None:
        """An automation after any flow that starts a deployment starts it again and again."""
        flow = world.flow("many")
        for number in range(40):
            world.deployment(flow, f"d{number:02}")
        cleanup = world.deployment(world.flow("cleanup"), "now")
        world.automation("after any", when(COMPLETED), [runs(cleanup)])
        (finding,) = dependency_cycle.check(world.workspace)

        assert (finding.subject, finding.severity) == ("cleanup/now", Severity.HIGH)

    def test_circle_by_failure_or_by_code_is_medium(self, world: WorldBuilder) -> None:
        """A run again after failure ends with the first success, a recursion where code says so."""
        deployment = world.deployment(world.flow("a"), "b")
        trigger = when("prefect.flow-run.Failed", f"prefect.deployment.{deployment}")
        world.automation("again", trigger, [runs(deployment)])
        recursive = world.flow("recursive")
        outer = world.run(recursive, ended_ago=HOUR, seconds=60)
        world.run(recursive, ended_ago=HOUR, parent=outer)
        found = {each.subject: each.severity for each in dependency_cycle.check(world.workspace)}

        assert found == {"a/b": Severity.MEDIUM, "recursive": Severity.MEDIUM}

    def test_chain_and_diamond_are_no_circle(self, world: WorldBuilder) -> None:
        """Two ways to one end do not go round."""
        flow = world.flow("a")
        first, left, right, last = (world.deployment(flow, name) for name in "flrz")
        for name, source, targets in (
            ("split", first, (left, right)),
            ("left", left, (last,)),
            ("right", right, (last,)),
        ):
            trigger = when(COMPLETED, f"prefect.deployment.{source}")
            world.automation(name, trigger, [runs(each) for each in targets])

        assert list(dependency_cycle.check(world.workspace)) == []
        assert _graph(world).cycles == ()

    def test_many_circles_in_one_knot_are_one_finding(self, world: WorldBuilder) -> None:
        """Twelve deployments that all start each other have endless circles, and one finding."""
        flow = world.flow("a")
        knot = [world.deployment(flow, f"d{number:02}") for number in range(12)]
        resources = [f"prefect.deployment.{each}" for each in knot]
        world.automation("all", when(COMPLETED, *resources), [runs(each) for each in knot])

        assert len(list(dependency_cycle.check(world.workspace))) == 1


class TestBlastRadius:
    """What fails with something."""

    def test_callers_and_what_waits_for_them_are_hurt(self, world: WorldBuilder) -> None:
        """A subflow that fails takes its parent along, and so what waits for the parent."""
        parent, child, sibling = (world.flow(name) for name in ("parent", "child", "sibling"))
        nightly = world.deployment(parent, "nightly")
        after = world.deployment(world.flow("after"), "x")
        world.automation("then", when(COMPLETED, f"prefect.deployment.{nightly}"), [runs(after)])
        run = world.run(parent, nightly, ended_ago=HOUR, seconds=60)
        world.run(child, ended_ago=HOUR, parent=run)
        world.run(sibling, ended_ago=HOUR, parent=run)
        of_it = network(world.workspace)

        assert of_it.hurt_by(f"flow:{child}") == {f"deployment:{nightly}", f"deployment:{after}"}
        assert of_it.hurt_by(f"deployment:{after}") == frozenset()

    def test_what_runs_because_of_the_failure_is_not_hurt(self, world: WorldBuilder) -> None:
        """A clean-up after failure, and one that runs where nothing came, do their work."""
        flow = world.flow("a")
        deployment = world.deployment(flow, "b")
        resource = f"prefect.deployment.{deployment}"
        cleanups = [world.deployment(world.flow("c"), name) for name in "xyz"]
        actions = [runs(each) for each in cleanups]
        world.automation("failed", when("prefect.flow-run.Failed", resource), actions)
        world.automation("absent", when(COMPLETED, resource, posture="Proactive"), actions)
        _fails(world, flow, deployment, failed=9)

        assert list(blast_radius.check(world.workspace)) == []

    @pytest.mark.parametrize(
        ("failed", "waiting", "severity"),
        [(2, 3, None), (3, 2, None), (3, 3, Severity.MEDIUM), (3, 10, Severity.HIGH)],
    )
    def test_thresholds(
        self, world: WorldBuilder, failed: int, waiting: int, severity: Severity | None
    ) -> None:
        """Three failures, a fifth of the runs, and three that hang on it make a finding."""
        flow, target = world.flow("a"), world.flow("t")
        deployment = world.deployment(flow, "b")
        actions = [runs(world.deployment(target, f"d{number}")) for number in range(waiting)]
        world.automation("then", when(COMPLETED, f"prefect.deployment.{deployment}"), actions)
        _fails(world, flow, deployment, failed=failed)
        found = list(blast_radius.check(world.workspace))

        assert [each.severity for each in found] == ([severity] if severity else [])

    def test_numbers_links_and_table(self, world: WorldBuilder) -> None:
        """The evidence counts what failed and what is hurt, and links failed runs."""
        flow, target = world.flow("a"), world.flow("t")
        deployment = world.deployment(flow, "b")
        actions = [runs(world.deployment(target, name)) for name in "xyz"]
        world.automation("then", when(COMPLETED, f"prefect.deployment.{deployment}"), actions)
        _fails(world, flow, deployment, failed=4)
        (finding,) = blast_radius.check(world.workspace)

        assert finding.evidence[0].numbers == {"runs": 10, "failed": 4, "hurt": 3}
        assert len(finding.evidence[0].links) == 4
        assert all("/runs/flow-run/" in each.url for each in finding.evidence[0].links)
        assert finding.failures == 4
        (row,) = section(world.workspace).tables[0].rows
        assert row.cells == ("a/b", 10, 0.4, 3, 0, 3, 1.2)


class TestAutomationTargetsMissing:
    """Automations about deployments that are gone."""

    def test_one_that_is_there_or_not_asked_for_is_no_finding(self, world: WorldBuilder) -> None:
        """Existing targets, inferred ones, disabled automations and odd ids are left alone."""
        deployment = world.deployment(world.flow("a"), "b")
        gone = runs(UUID(int=9_999))
        world.automation("there", when("x"), [runs(deployment)])
        world.automation("own", when("x"), [{"type": "run-deployment", "source": "inferred"}])
        world.automation("off", when("x"), [gone], enabled=False)
        world.automation("odd", when("x"), [{"type": "run-deployment", "deployment_id": 7}])
        world.automation("other", when("x"), [gone | {"type": "call-webhook"}])

        assert list(automation_targets_missing.check(world.workspace)) == []

    def test_nothing_is_gone_where_no_deployment_was_read(self, world: WorldBuilder) -> None:
        """A key that may not list deployments must not make all of them missing."""
        world.automation("a", when("x"), [runs(UUID(int=9_999))])

        assert list(automation_targets_missing.check(world.workspace)) == []

    def test_finding_names_the_ids(self, world: WorldBuilder) -> None:
        """Pausing a deployment that is gone counts too."""
        world.deployment(world.flow("a"), "b")
        action = runs(UUID(int=9_999)) | {"type": "pause-deployment"}
        world.automation("a", when("x"), [action])
        (finding,) = automation_targets_missing.check(world.workspace)

        assert finding.severity is Severity.HIGH
        assert finding.evidence[0].numbers == {
            "missing": 1,
            "deployment_ids": str(UUID(int=9_999)),
        }


def test_thousand_deployments_are_drawn_quickly(world: WorldBuilder) -> None:
    """A chain of 1,000 deployments knows the reach of each."""
    flow = world.flow("a")
    chain = [world.deployment(flow, f"d{number:04}") for number in range(1_000)]
    for first, second in pairwise(chain):
        trigger = when(COMPLETED, f"prefect.deployment.{first}")
        world.automation("then", trigger, [runs(second)])
    graph = _graph(world)

    assert max(each.reach for each in graph.nodes) == 999
