"""Executive summary and implementation plan of a fixed workspace, held as golden files.

``UPDATE_GOLDEN=1`` writes the files anew in place of comparing; read the difference before you
commit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from prefect_exporter.report.model import Finding, Section
from prefect_exporter.report.sections import plan, summary
from report.worlds import WorldBuilder, workspace

GOLDEN = Path(__file__).parent / "golden"
CHECKS = (
    "flow_broken",
    "flow_flaky",
    "retries_missing",
    "late_chronic",
    "work_pool_without_worker",
    "owner_missing",
)
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(name="world")
def _world() -> Iterator[WorldBuilder]:
    with workspace(compare=True) as world:
        for name in CHECKS:
            import_module(f"report.planted.{name}").plant(world)
        flow = world.flow("before")
        for number in range(40):
            world.run(flow, ended_ago=7 * DAY + (number + 1) * 4 * HOUR, seconds=600)
        yield world


def _findings(world: WorldBuilder) -> list[Finding]:
    modules = [import_module(f"prefect_exporter.report.checks.{name}") for name in CHECKS]
    return [finding for module in modules for finding in module.check(world.workspace)]


@pytest.mark.parametrize("name", ["summary", "plan"])
def test_section_is_the_golden_one(world: WorldBuilder, name: str) -> None:
    """Every word and number of it."""
    section: Section = {"summary": summary, "plan": plan}[name].section(
        world.workspace, _findings(world)
    )
    text = msgspec.json.format(msgspec.json.encode(section), indent=1).decode() + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)

    assert path.read_text() == text


def test_three_actions_are_named_first(world: WorldBuilder) -> None:
    """Those of the most severe findings, and among them those that save most."""
    section = summary.section(world.workspace, _findings(world))
    (begin, severities, _) = section.tables

    assert [row.cells[0] for row in begin.rows] == [
        "Work pool work-pool-without-worker has no worker",
        "flow-broken/nightly is broken: every run since 2026-11-18 09:57 UTC has failed",
        "late-chronic/often starts late as a rule: 50 % of its scheduled runs",
    ]
    assert [row.cells[:2] for row in severities.rows] == [("high", 2), ("medium", 3), ("low", 1)]
    # The table says it: nothing is told twice.
    assert not any(str(row.cells[0]) in said for row in begin.rows for said in section.paragraphs)


def test_plan_holds_every_finding(world: WorldBuilder) -> None:
    """Each check is mended by a step."""
    (steps,) = plan.section(world.workspace, _findings(world)).tables

    assert {name.replace("_", "-") for name in CHECKS} == {
        check for row in steps.rows for check in str(row.cells[3]).split(" and ")
    }
    assert [row.cells[0] for row in steps.rows] == list(range(1, len(steps.rows) + 1))


def test_clean_workspace_is_told_as_such() -> None:
    """No empty tables, no actions, and no change that is none."""
    with workspace(compare=True) as world:
        flow = world.flow("etl")
        for number in range(40):
            world.run(flow, ended_ago=(number + 1) * 8 * HOUR)
        told = summary.section(world.workspace, [])
        steps = plan.section(world.workspace, [])

        assert told.paragraphs[1:] == (
            "Against the period before nothing has changed by more than chance would.",
            "Nothing was found that ought to be mended.",
        )
        assert [each.id for each in told.tables] == ["the-period-in-numbers"]
        assert (steps.paragraphs, steps.tables) == (
            ("Nothing was found that ought to be changed.",),
            (),
        )


def test_empty_workspace_says_that_nothing_ran() -> None:
    """Shares of nothing are not told."""
    with workspace(compare=True) as world:
        told = summary.section(world.workspace, [])

        assert told.paragraphs[0].endswith("no flow run ended.")
        assert "The period before has no runs to compare with." in told.paragraphs
