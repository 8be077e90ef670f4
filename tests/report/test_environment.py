"""The environment section, and the near misses of its checks: what must not be found."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from prefect_exporter.report.checks import (
    automation_disabled_forgotten,
    deployment_duplicate,
    deployment_paused_forgotten,
    deployment_unused,
    work_pool_paused_forgotten,
    work_queue_paused_forgotten,
)
from prefect_exporter.report.model import Section, Table
from prefect_exporter.report.question import Period
from prefect_exporter.report.sections.environment import section
from report.events import runs, when
from report.world import DAY, HOUR
from report.worlds import NOW_US, WorldBuilder, workspace


@pytest.fixture(name="world")
def _world() -> Iterator[WorldBuilder]:
    with workspace() as world:
        yield world


def _table(section: Section, key: str) -> Table:
    return next(each for each in section.tables if each.id == key)


class TestSection:
    """Its tables."""

    def test_deployments_say_when_whose_where_and_how_it_went(self, world: WorldBuilder) -> None:
        """A row has the schedule in words, runs a day, owner, pool, runs and their failures."""
        world.pool("k8s", type="kubernetes")
        flow = world.flow("etl", tags=["team:payments"])
        deployment = world.deployment(flow, "nightly", cron="0 */6 * * *", pool="k8s", version="7")
        for number in range(4):
            state = "Completed" if number else "Crashed"
            world.run(flow, deployment, ended_ago=(number + 1) * HOUR, state=state)
        (row,) = _table(section(world.workspace), "deployments").rows

        assert row.cells == (
            "etl/nightly",
            "payments",
            "cron 0 */6 * * * UTC",
            4.0,
            4,
            0.25,
            "k8s",
            "default",
            "7",
            "",
        )
        assert row.links["Deployment"].url.endswith(f"/deployments/deployment/{deployment}")

    def test_tables_are_bounded_and_say_so(self, world: WorldBuilder) -> None:
        """Of 130 deployments those with the most runs are shown, and how many there are."""
        flow = world.flow("etl")
        for number in range(130):
            world.deployment(flow, f"d{number:03}")
        busy = world.deployment(flow, "z-busy")
        world.run(flow, busy, ended_ago=HOUR)
        table = _table(section(world.workspace), "deployments")

        assert len(table.rows) == 100
        assert table.rows[0].cells[0] == "etl/z-busy"
        assert table.note == "The 100 of 131 with the most runs."

    def test_pools_are_by_type_with_those_who_work_there(self, world: WorldBuilder) -> None:
        """A pool counts its queues, the workers online, its deployments and its runs."""
        world.pool("local", limit=4)
        world.queue("local", "slow")
        world.worker("local", "here")
        world.worker("local", "gone", heard_ago=DAY)
        world.pool("a-paused", type="docker", paused=True)
        flow = world.flow("etl")
        deployment = world.deployment(flow, "nightly", pool="local")
        world.run(flow, deployment, ended_ago=HOUR)
        rows = _table(section(world.workspace), "work-pools").rows

        assert [each.cells for each in rows] == [
            ("a-paused", "docker", "PAUSED", None, None, 1, 0, 0, 0),
            ("local", "process", "", 4, None, 2, 1, 1, 1),
        ]

    def test_limits_are_told_once_by_kind(self, world: WorldBuilder) -> None:
        """Prefect's own twins of the limits of tags and deployments are not global ones."""
        world.global_limit("database", 3)
        world.global_limit("tag:etl", 5)
        world.tag_limit("etl", 5)
        world.deployment(world.flow("etl"), "nightly", limit=2)
        made = section(world.workspace)

        assert [each.cells[:3] for each in _table(made, "concurrency-limits").rows] == [
            ("database", "concurrency()", 3),
            ("etl", "tag", 5),
            ("etl/nightly", "deployment", 2),
        ]
        assert ("Global concurrency limits", 1, "") in {
            each.cells for each in _table(made, "what-there-is").rows
        }

    def test_what_could_not_be_read_is_named(self, world: WorldBuilder) -> None:
        """The version is told, and which routes Prefect refused."""
        world.server("3.8.8", **{"/automations/filter": "403"})
        paragraphs = section(world.workspace).paragraphs

        assert "version 3.8.8" in paragraphs[0]
        assert "/automations/filter" in paragraphs[1]

    def test_all_that_is_paused_is_listed(self, world: WorldBuilder) -> None:
        """Pools, queues, deployments and automations stand in one table."""
        world.pool("p", paused=True)
        world.queue("p", "q", paused=True)
        flow = world.flow("etl")
        world.deployment(flow, "a", paused=True)
        world.deployment(flow, "b", cron="0 3 * * *", schedule_active=False)
        world.deployment(flow, "c", cron="0 3 * * *")
        world.automation("alert", when("x"), [], enabled=False)
        rows = _table(section(world.workspace), "paused-or-switched-off").rows

        assert [each.cells[:3] for each in rows] == [
            ("p", "work pool", "paused"),
            ("p/q", "work queue", "paused"),
            ("etl/a", "deployment", "paused"),
            ("etl/b", "deployment", "no schedule is active"),
            ("alert", "automation", "disabled"),
        ]


class TestDeploymentUnused:
    """What nothing starts."""

    def test_one_that_ran_or_may_run_is_used(self, world: WorldBuilder) -> None:
        """A run, a late one, a schedule, an automation or youth each mean that it is used."""
        flow = world.flow("etl")
        world.run(flow, world.deployment(flow, "ran"), ended_ago=HOUR)
        world.run(flow, world.deployment(flow, "late"), ended_ago=HOUR, state="Late")
        world.deployment(flow, "scheduled", cron="0 3 1 1 *")
        world.deployment(flow, "off", cron="0 3 1 1 *", schedule_active=False)
        world.deployment(flow, "young", created_ago=20 * DAY)
        automated = world.deployment(flow, "automated")
        world.automation("a", when("x"), [runs(automated)], enabled=False)

        assert list(deployment_unused.check(world.workspace)) == []

    def test_more_than_twenty_are_one_finding(self, world: WorldBuilder) -> None:
        """A workspace full of them gives one finding with their number."""
        flow = world.flow("etl")
        for number in range(21):
            world.deployment(flow, f"d{number}")
        (finding,) = deployment_unused.check(world.workspace)

        assert finding.subject == "the workspace"
        assert finding.evidence[0].numbers["deployments"] == 21

    def test_report_of_other_flows_says_nothing(self) -> None:
        """Of deployments whose runs were not read nothing is said."""
        with workspace(flows=("other",)) as world:
            world.deployment(world.flow("etl"), "backfill")

            assert list(deployment_unused.check(world.workspace)) == []

    def test_report_by_tags_sees_those_that_have_one(self) -> None:
        """With ``--tag`` a deployment counts whose flow has it; all its runs were read."""
        with workspace(tags=("nightly",)) as world:
            world.deployment(world.flow("etl", tags=["nightly"]), "mine")
            world.deployment(world.flow("other"), "theirs")
            found = [each.subject for each in deployment_unused.check(world.workspace)]

            assert found == ["etl/mine"]


class TestDeploymentDuplicate:
    """What is done twice."""

    @pytest.mark.parametrize(
        "change",
        [
            {"entrypoint": "flows.py:other"},
            {"parameters": {"region": "eu"}},
            {"pull_steps": [{"git_clone": {"branch": "staging"}}]},
            {"path": "/elsewhere"},
            {"job_variables": {"env": {"A": "1"}}},
            {"pool": "other"},
            {"cron": "0 4 * * *"},
            {"paused": True},
            {"schedule_active": False},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_one_that_differs_is_no_duplicate(
        self, world: WorldBuilder, change: dict[str, object]
    ) -> None:
        """What may do something else, or at another time, is left alone."""
        self._twins(world, change)

        assert list(deployment_duplicate.check(world.workspace)) == []

    def test_schedules_with_other_parameters_are_none(self, world: WorldBuilder) -> None:
        """Two schedules that are due together may run with different parameters."""
        timing = {"cron": "0 3 * * *", "timezone": "UTC"}
        schedule = {"schedule": timing, "active": True, "parameters": {"region": "eu"}}
        self._twins(world, {"schedules": [schedule]})

        assert list(deployment_duplicate.check(world.workspace)) == []

    def test_twins_that_did_not_run_together_are_none(self, world: WorldBuilder) -> None:
        """Where their runs were not due at one time there is no evidence."""
        self._twins(world, {}, apart=HOUR)

        assert list(deployment_duplicate.check(world.workspace)) == []

    def test_hours_are_those_of_the_younger(self, world: WorldBuilder) -> None:
        """What is saved is the time of the younger one's runs in a week."""
        self._twins(world, {})
        (finding,) = deployment_duplicate.check(world.workspace)

        assert finding.subject == "etl/b"
        assert finding.evidence[0].numbers == {"runs_together": 3, "hours": 1.5}
        assert finding.hours == 1.5
        assert finding.action.change == "prefect deployment delete etl/b"

    @staticmethod
    def _twins(world: WorldBuilder, change: dict[str, object], apart: float = 0.0) -> None:
        flow = world.flow("etl")
        same: dict[str, object] = {"entrypoint": "flows.py:etl", "pool": "p", "cron": "0 3 * * *"}
        for name, fields, later in (("a", same, 0.0), ("b", same | change, apart)):
            deployment = world.deployment(flow, name, **fields)  # type: ignore[arg-type]  # a table of any
            for day in range(3):
                world.run(flow, deployment, ended_ago=day * DAY + HOUR + later, seconds=1800)


class TestDeploymentPausedForgotten:
    """Deployments that stand still."""

    def test_short_or_meant_pauses_are_no_finding(self, world: WorldBuilder) -> None:
        """Paused for some days, run in spite of it, due too seldom to tell: nothing."""
        flow = world.flow("etl")
        world.deployment(flow, "days", cron="0 3 * * *", paused=True, updated_ago=6 * DAY)
        by_hand = world.deployment(flow, "by hand", cron="0 3 * * *", paused=True)
        world.run(flow, by_hand, ended_ago=DAY)
        world.deployment(flow, "monthly", cron="0 3 21 * *", schedule_active=False)
        world.deployment(flow, "new", cron="0 3 * * *", schedule_active=False, created_ago=2 * DAY)
        world.deployment(flow, "broken", cron="no cron", schedule_active=False)

        assert list(deployment_paused_forgotten.check(world.workspace)) == []

    def test_numbers_are_days_and_missed_runs(self, world: WorldBuilder) -> None:
        """One has been paused for forty days; the other would have been due 14 times."""
        flow = world.flow("etl")
        world.deployment(flow, "a", cron="0 3 * * *", paused=True, updated_ago=40 * DAY)
        world.deployment(flow, "b", cron="0 3,15 * * *", schedule_active=False)
        paused, off = deployment_paused_forgotten.check(world.workspace)

        assert paused.evidence[0].numbers["days"] == 40
        assert off.evidence[0].numbers == {"missed": 14}
        assert "resume_deployment" in paused.action.change
        assert "schedule ls etl/b" in off.action.change

    def test_short_period_shows_nothing_of_schedules(self) -> None:
        """An hour without a run is no proof that a schedule is forgotten."""
        with workspace(period=Period(NOW_US - 3_600_000_000, NOW_US)) as world:
            world.deployment(world.flow("etl"), "a", cron="*/5 * * * *", schedule_active=False)

            assert list(deployment_paused_forgotten.check(world.workspace)) == []


class TestPausedPlaces:
    """Work pools and work queues that stand still."""

    def test_places_that_ran_or_are_not_meant_to_are_none(self, world: WorldBuilder) -> None:
        """A pool that ran in the period, and one that nothing is due in, are not forgotten."""
        flow = world.flow("etl")
        for name in ("ran", "empty", "works"):
            world.pool(name, paused=name != "works")
        world.queue("works", "ran", paused=True)
        world.queue("works", "empty", paused=True)
        deployment = world.deployment(flow, "a", cron="0 3 * * *", pool="ran")
        world.run(flow, deployment, ended_ago=DAY)
        queued = world.deployment(flow, "b", cron="0 3 * * *", pool="works", queue="ran")
        world.run(flow, queued, ended_ago=DAY)
        world.deployment(flow, "c", pool="empty")

        assert list(work_pool_paused_forgotten.check(world.workspace)) == []
        assert list(work_queue_paused_forgotten.check(world.workspace)) == []

    def test_queue_of_a_paused_pool_is_not_told_again(self, world: WorldBuilder) -> None:
        """The pool is the finding, with what was missed and what waits."""
        world.pool("p", paused=True)
        world.queue("p", "q", paused=True)
        flow = world.flow("etl")
        deployment = world.deployment(flow, "a", cron="0 3 * * *", pool="p", queue="q")
        world.run(flow, deployment, ended_ago=2 * DAY, state="Late")
        (finding,) = work_pool_paused_forgotten.check(world.workspace)

        assert list(work_queue_paused_forgotten.check(world.workspace)) == []
        assert finding.evidence[0].numbers == {"deployments": 1, "missed": 7, "late_runs": 1}
        assert finding.action.change == "prefect work-pool resume p"

    def test_narrowed_report_says_nothing_of_them(self) -> None:
        """Runs of other flows were not read: a pool that looks idle may not be."""
        with workspace(flows=("etl",)) as world:
            world.pool("p", paused=True)
            world.deployment(world.flow("etl"), "a", cron="0 3 * * *", pool="p")

            assert list(work_pool_paused_forgotten.check(world.workspace)) == []

    def test_names_are_quoted_for_a_shell(self, world: WorldBuilder) -> None:
        """A hostile name is one argument of the command."""
        world.pool("p", paused=False)
        world.queue("p", "x; rm -rf /", paused=True)
        flow = world.flow("etl")
        world.deployment(flow, "a", cron="0 3 * * *", pool="p", queue="x; rm -rf /")
        (finding,) = work_queue_paused_forgotten.check(world.workspace)

        assert finding.action.change == "prefect work-queue resume 'x; rm -rf /' --pool p"


def test_automation_disabled_for_days_is_no_finding(world: WorldBuilder) -> None:
    """One that is enabled, or was changed this month, is not forgotten."""
    world.automation("on", when("x"), [])
    world.automation("off", when("x"), [], enabled=False, updated_ago=29 * DAY)

    assert list(automation_disabled_forgotten.check(world.workspace)) == []


def test_automation_finding_has_its_days_and_id(world: WorldBuilder) -> None:
    """The command has the automation's id: names are not unique."""
    key: UUID = world.automation("off", when("x"), [], enabled=False, updated_ago=31 * DAY)
    (finding,) = automation_disabled_forgotten.check(world.workspace)

    assert finding.evidence[0].numbers["days"] == 31
    assert finding.action.change == f"prefect automation resume --id {key}"
