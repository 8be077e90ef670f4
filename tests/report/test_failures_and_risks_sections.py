"""The sections failures and risks: their tables, charts and sentences."""

from __future__ import annotations

from importlib import import_module

from prefect_exporter.report.model import Kind, Section, Table
from prefect_exporter.report.sections import failures, risks
from report.worlds import WorldBuilder, workspace

HOUR, DAY = 3600.0, 86_400.0
KEY = "Flow run encountered an exception: KeyError: 'amount'"


def _table(section: Section, name: str) -> Table:
    return next(each for each in section.tables if each.id == name)


def _column(table: Table, title: str) -> list[object]:
    place = [each.title for each in table.columns].index(title)
    return [row.cells[place] for row in table.rows]


def _plant(world: WorldBuilder, *names: str) -> None:
    for name in names:
        import_module(f"report.planted.{name}").plant(world)


def test_group_tells_its_runs_hours_and_trend() -> None:
    """One row a group, with a link to the newest run."""
    with workspace() as world:
        _plant(world, "flow_broken")
        look = world.workspace
        (table, *_) = failures.section(look).tables

        assert _column(table, "Error") == ["KeyError"]
        assert _column(table, "Failures") == [6]
        assert _column(table, "Lost") == [0.05]
        assert _column(table, "Flows") == ["flow-broken/nightly (6)"]
        assert str(_column(table, "Trend")[0]).startswith("rising (poisson-rate-ratio, p = ")
        newest = next(look.flow_runs("WHERE state_type = 'FAILED' ORDER BY ended_us DESC"))
        assert table.rows[0].links["Example"].url == look.run_url(newest.id)


def test_flaky_is_told_from_broken() -> None:
    """With the numbers that say so; fine flows are not listed."""
    with workspace() as world:
        _plant(world, "flow_broken", "flow_flaky")
        world.run(world.flow("fine"), ended_ago=HOUR)
        table = _table(failures.section(world.workspace), "how-flows-fail")

        assert _column(table, "Subject") == ["flow-broken/nightly", "flow-flaky"]
        assert _column(table, "Verdict") == ["broken", "flaky"]
        assert _column(table, "Since") == ["2026-11-18T09:57:36Z", None]
        assert _column(table, "Episodes") == [1, 6]


def test_crashes_are_told_from_failures_by_pool() -> None:
    """A crash is the pool's, a failure the flow's; cancelled runs are neither."""
    with workspace() as world:
        flow = world.flow("etl")
        for state in ("Completed", "Completed", "Failed", "Crashed", "Cancelled"):
            world.run(flow, ended_ago=HOUR, state=state, pool="k8s")
        world.run(flow, ended_ago=HOUR, state="Failed")
        table = _table(failures.section(world.workspace), "crashes-and-failures-by-work-pool")

        assert [row.cells for row in table.rows] == [
            ("k8s", 4, 1, 1, 0.25, 0.25),
            ("(none)", 1, 1, 0, 1.0, 0.0),
        ]


def test_failures_in_common_name_time_and_system() -> None:
    """The table shows when, how many, and what they share; a sentence points to it."""
    with workspace() as world:
        _plant(world, "failures_in_common")
        section = failures.section(world.workspace)
        table = _table(section, "failures-in-common")

        assert "warehouse.shop.example" in str(_column(table, "In common")[0])
        assert "Times in which several flows failed together" in section.paragraphs[-1]


def test_charts_hold_every_failure_once() -> None:
    """By category over time, and by group."""
    with workspace() as world:
        _plant(world, "flow_broken", "retries_missing")
        (by_category, by_group) = failures.section(world.workspace).charts

        assert {"upstream": 4.0, "user_code": 6.0} == {
            each.name: sum(value or 0 for value in each.values) for each in by_category.series
        }
        assert all(len(each.values) == len(by_category.labels) for each in by_category.series)
        assert by_group.series[0].values == (6.0, 4.0)


def test_groups_beyond_the_first_are_counted_in_a_note() -> None:
    """A table of hundreds of rows is read by nobody."""
    with workspace() as world:
        flow = world.flow("etl")
        for number in range(60):
            name = f"{chr(97 + number // 26)}{chr(97 + number % 26)}"
            message = f"Flow run encountered an exception: KeyError: no {name} here"
            world.run(flow, ended_ago=(number + 1) * HOUR, state="Failed", message=message)
        (table, *_) = failures.section(world.workspace).tables

        assert len(table.rows) == 50
        assert table.note.endswith("The first 50 of 60.")


def test_workspace_without_failures_says_so() -> None:
    """One sentence, and no tables of failures."""
    with workspace() as world:
        world.run(world.flow("etl"), ended_ago=HOUR)
        section = failures.section(world.workspace)

        assert section.paragraphs == ("No flow run failed in this time.",)
        assert section.charts == ()
        assert [each.id for each in section.tables] == ["crashes-and-failures-by-work-pool"]


def test_guards_of_a_flow() -> None:
    """Retries, tasks with retries, longest run, late starts, parameters, owner."""
    with workspace() as world:
        flow = world.flow("etl", tags=["team:payments"])
        nightly = world.deployment(flow, "nightly")
        for number in range(4):
            run = world.run(
                flow,
                nightly,
                ended_ago=(number + 1) * DAY,
                seconds=100 * (number + 1),
                retries=number // 2,
                wait=3600 if number == 0 else 1,
                parameters={"rows": "x" * 90},
            )
            world.task(run, "load", retries=3)
            world.task(run, "save", retries=0)
        (table, *_) = risks.section(world.workspace).tables
        cells = dict(zip([each.title for each in table.columns], table.rows[0].cells, strict=True))

        assert cells == {
            "Subject": "etl/nightly",
            "Owner": "payments",
            "Failed share": 0.0,
            "Flow retries": "0 to 1",
            "Tasks with retries": 0.5,
            "95 % of runs within": cells["95 % of runs within"],
            "Longest run": 400.0,
            "Late starts": 0.25,
            "Overlapping runs": 0,
            "Largest parameters": 102,
        }


def test_retries_that_nobody_knows_are_not_none() -> None:
    """An older Prefect does not tell them."""
    with workspace() as world:
        world.run(world.flow("etl"), ended_ago=HOUR, retries=-1)
        (table, *_) = risks.section(world.workspace).tables

        assert _column(table, "Flow retries") == ["not known"]


def test_stuck_runs_are_listed_with_their_page() -> None:
    """The longest first, with what is usual."""
    with workspace() as world:
        _plant(world, "runs_stuck")
        section = risks.section(world.workspace)
        table = _table(section, "stuck-runs")

        assert _column(table, "For") == [36_000.0]
        assert table.rows[0].links["Run"].url.startswith("http://prefect.test:4200/runs/flow-run/")
        assert "Stuck now: 1 run." in section.paragraphs


def test_cells_are_of_their_column() -> None:
    """A number stands where a number is told, in every table of both sections."""
    with workspace() as world:
        _plant(world, "flow_broken", "failures_in_common", "runs_stuck", "late_chronic")
        for section in (failures.section(world.workspace), risks.section(world.workspace)):
            for table in section.tables:
                for row in table.rows:
                    assert len(row.cells) == len(table.columns)
                    for column, cell in zip(table.columns, row.cells, strict=True):
                        text = column.kind in {Kind.TEXT, Kind.TIME, Kind.LINK}
                        assert cell is None or isinstance(cell, str) == text
