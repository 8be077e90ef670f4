"""Systems outside: by what each is known, how it is used, and what must not be blamed on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.report.checks import integration_failing
from prefect_exporter.report.integrations.systems import (
    in_block,
    in_logger,
    in_name,
    in_text,
    systems,
)
from prefect_exporter.report.integrations.uses import uses
from prefect_exporter.report.model import Severity
from prefect_exporter.report.sections.integrations import section
from report.world import HOUR
from report.worlds import WorldBuilder, workspace


@pytest.fixture(name="world")
def _world() -> Iterator[WorldBuilder]:
    with workspace() as world:
        yield world


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run_dbt_models", ["dbt"]),
        ("dbtCloudRun", ["dbt"]),
        ("DBT run", ["dbt"]),
        ("S3Upload", ["Amazon S3"]),
        ("load-bigquery", ["BigQuery"]),
        ("great_expectations_check", ["Great Expectations"]),
        ("copy s3 to snowflake", ["Snowflake", "Amazon S3"]),
        ("k8s-job", ["Kubernetes"]),
        ("system:PostgreSQL", ["PostgreSQL"]),
        # Parts of other words, and words that mean something else as well.
        ("array", []),
        ("sparkling", []),
        ("list_users", []),
        ("load_table", []),
        ("get_request", []),
        ("outdbtx", []),
        ("x3s3t", []),
    ],
)
def test_names_show_systems_by_whole_words(name: str, expected: list[str]) -> None:
    """A word counts at a change of case and at punctuation, and never within another one."""
    assert expected == [each.system for each in in_name(name, "task names")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snowflake.connector.errors.OperationalError: 250001", ["Snowflake"]),
        ("raise psycopg.OperationalError(x)", ["PostgreSQL"]),
        ("could not resolve xy12.eu-west-1.snowflakecomputing.com", ["Snowflake"]),
        ("s3.amazonaws.com and sqs.amazonaws.com", ["Amazon S3", "SQS"]),
        ("db.abc.eu-west-1.rds.amazonaws.com timed out", ["AWS, other services"]),
        ("GET https://user:pw@api.partner.com:8443/v1?x=y", ["HTTP: api.partner.com"]),
        ("HTTPSConnectionPool(host='api.x.io', port=443)", ["HTTP: api.x.io"]),
        ("http://localhost:4200/api", []),
        ("in /srv/app/dbt.py and flows.main", []),
        ("see notes.txt, module.function() and a.b.c", []),
        ("", []),
    ],
)
def test_texts_show_systems_by_errors_and_hosts(text: str, expected: list[str]) -> None:
    """The longest name of a host wins; files and our own code are no system; no secret is kept."""
    assert expected == [each.system for each in in_text(text, "messages")]


def test_blocks_and_loggers_show_systems() -> None:
    """A block by how its type's slug begins, a logger by its library."""
    assert ["Snowflake"] == [each.system for each in in_block("snowflake-connector")]
    assert ["Azure Storage"] == [each.system for each in in_block("azure-blob-storage-container")]
    assert in_block("secret") == ()
    assert ["AWS, other services"] == [each.system for each in in_logger("botocore.retries")]
    assert in_logger("rayon") == in_logger("prefect.flow_runs") == ()


def test_each_system_is_told_from_the_others() -> None:
    """No two have a name or a word in common, and words are as names are cut."""
    names = [each.name for each in systems()]
    words = [word for each in systems() for word in each.words]

    assert len(set(names)) == len(names)
    assert len(set(words)) == len(words)
    assert all(re.fullmatch(r"[a-z0-9_]+", word) for word in words)
    assert all(
        each.words or each.blocks or each.loggers or each.errors or each.hosts for each in systems()
    )


@pytest.mark.parametrize(
    "text",
    ["a." * 50_000, "a" * 100_000, "http://" * 20_000, "a-" * 50_000, "aA" * 50_000, "@" * 100_000],
    ids=lambda text: text[:8],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    """A text of a hundred thousand characters is read in a blink."""
    begun = time.perf_counter()
    list(in_text(text, "logs"))
    in_name(text, "tags")

    assert time.perf_counter() - begun < 0.5


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    """Whatever a name or message is, it is read."""
    list(in_text(text, "logs"))
    in_name(text, "tags")
    in_block(text)
    in_logger(text)


def _runs(world: WorldBuilder, name: str, task: str, *, failed: int, of: int = 15) -> UUID:
    flow = world.flow(name)
    for number in range(of):
        state = "Failed" if number < failed else "Completed"
        run = world.run(flow, ended_ago=(number + 1) * HOUR, seconds=120, state=state)
        world.task(run, task, seconds=90, state=state)
        world.task(run, "clean", seconds=30)
    return flow


class TestUses:
    """How much each system is used, and how that goes."""

    def test_task_runs_hours_and_failures_are_counted(self, world: WorldBuilder) -> None:
        """The table has a system's task runs, its part of time and its part of the failures."""
        _runs(world, "one", "query snowflake", failed=3)
        _runs(world, "two", "query snowflake", failed=0)
        _runs(world, "three", "compute", failed=3)
        (row,) = section(world.workspace).tables[0].rows

        assert row.cells == (
            "Snowflake",
            "warehouse",
            2,
            30,
            0.1,
            0.75,
            0.5,
            3,
            0.5,
            "task names (query snowflake)",
        )
        assert (
            "Snowflake shows in 50 % of all failed flow runs"
            in section(world.workspace).paragraphs[0]
        )

    def test_how_each_was_seen_is_told(self, world: WorldBuilder) -> None:
        """Blocks, tags of flows and tasks, messages, loggers and log lines are told apart."""
        world.block("lake", "s3-bucket")
        flow = world.flow("etl", tags=["dbt"])
        message = "psycopg.OperationalError: gone"
        run = world.run(flow, ended_ago=HOUR, state="Failed", message=message)
        world.task(run, "x", tags=["redis"])
        world.log(run, "timeout at https://api.partner.com/v1", logger="botocore.retries")
        seen = {name: use.seen for name, use in uses(world.workspace).systems.items()}

        assert seen == {
            "Amazon S3": {"block types": ["s3-bucket"]},
            "dbt": {"tags": ["dbt"]},
            "Redis": {"tags": ["redis"]},
            "PostgreSQL": {"messages": ["psycopg.OperationalError"]},
            "AWS, other services": {"loggers": ["botocore.retries"]},
            "HTTP: api.partner.com": {"logs": ["api.partner.com"]},
        }

    def test_failure_counts_once_for_a_system(self, world: WorldBuilder) -> None:
        """A failed run whose message, task and logs all show one system is one failure of it."""
        message = "snowflake.connector.errors.DatabaseError: x"
        run = world.run(world.flow("a"), ended_ago=HOUR, state="Failed", message=message)
        world.task(run, "snowflake a", state="Failed")
        world.task(run, "snowflake b", state="Failed")
        world.log(run, message)
        found = uses(world.workspace)

        assert (found.systems["Snowflake"].failed_runs, found.failed_runs) == (1, 1)

    def test_prefect_itself_and_placeholders_are_none(self, world: WorldBuilder) -> None:
        """The address of the API is no system outside, and a subflow is no task."""
        flow = world.flow("snowflake load")
        message = "GET http://prefect.test:4200/api/flow_runs failed"
        run = world.run(flow, ended_ago=HOUR, state="Failed", message=message)
        world.run(flow, ended_ago=HOUR, parent=run)
        found = uses(world.workspace)

        assert found.systems == {}
        assert found.task_runs == 0

    def test_endless_hosts_are_folded(self, world: WorldBuilder) -> None:
        """A message with a thousand addresses makes no thousand rows."""
        flow = world.flow("a")
        for number in range(300):
            message = f"GET https://h{number}.example.com/ failed"
            world.run(flow, ended_ago=HOUR + number, state="Failed", message=message)
        found = uses(world.workspace).systems

        assert len(found) == 101
        assert found["HTTP: other hosts"].failed_runs == 200


class TestIntegrationFailing:
    """A system whose tasks fail in several flows."""

    @pytest.mark.parametrize(
        ("one", "two"),
        [((2, 15), (2, 15)), ((2, 60), (3, 60)), ((8, 15), (0, 15)), ((3, 5), (3, 5))],
    )
    def test_near_misses_are_no_finding(
        self, world: WorldBuilder, one: tuple[int, int], two: tuple[int, int]
    ) -> None:
        """Too few failures, too small a share, one flow alone, too few runs: nothing."""
        for name, (failed, of) in (("one", one), ("two", two)):
            _runs(world, name, "query snowflake", failed=failed, of=of)

        assert list(integration_failing.check(world.workspace)) == []

    def test_where_all_tasks_fail_the_system_is_not_blamed(self, world: WorldBuilder) -> None:
        """Tasks that have nothing to do with it fail as often."""
        for name in ("one", "two"):
            _runs(world, name, "query snowflake", failed=4)
            flow = world.flow(f"{name} other")
            for number in range(15):
                state = "Failed" if number < 5 else "Completed"
                run = world.run(flow, ended_ago=(number + 1) * HOUR, state=state)
                world.task(run, "compute", state=state)

        assert list(integration_failing.check(world.workspace)) == []

    def test_numbers_links_and_change(self, world: WorldBuilder) -> None:
        """The evidence counts task runs, flows and the others; the change names the task."""
        _runs(world, "one", "query snowflake", failed=4)
        _runs(world, "two", "load snowflake", failed=5)
        (finding,) = integration_failing.check(world.workspace)

        assert finding.severity is Severity.MEDIUM
        assert finding.subject == "integration Snowflake"
        assert finding.evidence[0].numbers == {
            "task_runs": 30,
            "failed_task_runs": 9,
            "failed_flow_runs": 9,
            "flows": 2,
            "others_failed_share": 0.0,
        }
        assert len(finding.evidence[0].links) == 5
        assert "name='load snowflake'" in finding.action.change
        assert finding.failures == 9

    def test_outage_is_high(self, world: WorldBuilder) -> None:
        """Half of all of its task runs is more than a bad day."""
        _runs(world, "one", "query snowflake", failed=8)
        _runs(world, "two", "query snowflake", failed=8)
        (finding,) = integration_failing.check(world.workspace)

        assert finding.severity is Severity.HIGH
