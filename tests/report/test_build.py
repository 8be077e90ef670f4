"""All that was seen of a workspace, put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import cast

import msgspec
import pytest
from structlog.testing import capture_logs

from prefect_exporter.report import build as building
from prefect_exporter.report.build import build, ranked
from prefect_exporter.report.checks import CHECKS, USAGE_CHECKS
from prefect_exporter.report.model import Finding, Severity
from prefect_exporter.report.unread import add_unread
from prefect_exporter.report.workspace import Workspace
from report.planted import automation_disabled_forgotten, flow_broken
from report.reports import report as some_report
from report.worlds import workspace

SECTIONS = (
    "summary",
    "dependencies",
    "environment",
    "performance",
    "failures",
    "risks",
    "integrations",
    "resources",
    "plan",
)


def test_what_was_not_read_is_not_judged() -> None:
    """Without all flow runs nothing is said of flows, and the summary says so first of all."""
    with workspace(compare=True) as world:
        flow_broken.plant(world)
        automation_disabled_forgotten.plant(world)
        whole = build(world.workspace)
        add_unread(world.workspace.store, "flow runs")
        part = build(world.workspace)
        add_unread(world.workspace.store, "workers")
        sections = {each.id: each for each in build(world.workspace).sections}

    assert {"flow-broken", "automation-disabled-forgotten"} <= {
        each.check for each in whole.findings
    }
    assert {"automation-disabled-forgotten"} == {each.check for each in part.findings}
    (note,) = part.scope.notes
    assert note.startswith("Not looked for, as not all that tells it was read: ")
    assert " flow-broken," in note
    told = sections["summary"].paragraphs
    assert told[0].startswith("This report is incomplete: flow runs and workers were not read")
    assert not any("period before" in each for each in told)
    assert not any("All that the report asks" in each for each in sections["resources"].paragraphs)


def test_nothing_is_said_to_be_well_where_nothing_was_read() -> None:
    """That nothing was found says little then."""
    with workspace() as world:
        add_unread(world.workspace.store, "flow runs")
        said = {each.id: " ".join(each.paragraphs) for each in build(world.workspace).sections}

    assert "Nothing was found in what was read that ought to be mended." in said["summary"]
    assert "Nothing was found in what was read that ought to be changed." in said["plan"]


@pytest.mark.parametrize(
    ("lacking", "check"),
    [
        ("deployments", "automation-targets-missing"),
        ("deployments", "owner-missing"),
        ("workers", "work-pool-without-worker"),
        ("automations", "deployment-unused"),
        ("task runs", "retries-missing"),
    ],
)
def test_nothing_is_missed_that_was_not_looked_up(lacking: str, check: str) -> None:
    """What may be there, but was not read, is not said to be missing."""
    with workspace(compare=True) as world:
        import_module(f"report.planted.{check.replace('-', '_')}").plant(world)
        whole = build(world.workspace)
        add_unread(world.workspace.store, lacking)
        part = build(world.workspace)

    assert check in {each.check for each in whole.findings}
    assert check not in {each.check for each in part.findings}


def test_flow_that_is_not_there_is_a_note() -> None:
    """Whoever wrote a flow's name wrongly is told, rather than that nothing ran."""
    with workspace() as world:
        world.flow("etl")
        question = replace(world.workspace.question, flows=("etl", "elt"))
        made = build(Workspace(world.workspace.store, question))

    assert made.scope.notes == ("No flow is called 'elt'.",)


def finding(subject: str, severity: str, hours: float | None = None, **more: object) -> Finding:
    """Return a finding about a subject."""
    one = some_report().findings[0]
    told = {"subject": subject, "severity": Severity(severity), "hours": hours} | more
    return msgspec.structs.replace(one, **({"check": "c", "failures": None} | told))


def test_empty_workspace_has_every_section_and_no_finding() -> None:
    """Where there is nothing, nothing fails and nothing is found."""
    with workspace() as world:
        report = build(world.workspace)

    assert SECTIONS == tuple(each.id for each in report.sections)
    assert () == report.findings
    assert () == report.scope.notes


def test_dearest_findings_come_first() -> None:
    """By severity, then by hours saved, then by failures, then by name."""
    order = [
        finding("d", "high", 1.0),
        finding("c", "medium", 9.0),
        finding("b", "medium", 2.0, failures=3.0),
        finding("a", "medium", 2.0),
        finding("e", "medium"),
        finding("f", "medium"),
        finding("a", "low", 99.0, check="other"),
    ]

    assert order == ranked(order[::-1])


def test_finding_is_told_once() -> None:
    """The same check of the same subject, twice, is one."""
    first, second = finding("a", "high", 1.0), finding("a", "low")

    assert [first] == ranked([first, second])


def test_check_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the report is there, and the log has what went wrong."""

    def fails(_workspace: Workspace) -> Iterator[Finding]:
        raise ZeroDivisionError
        yield

    def finds(_workspace: Workspace) -> Iterator[Finding]:
        yield finding("a", "low")

    modules = [
        cast("ModuleType", SimpleNamespace(__name__="x.checks.of_nothing", check=fails)),
        cast("ModuleType", SimpleNamespace(__name__="x.checks.other", check=finds)),
    ]
    monkeypatch.setattr(building, "CHECKS", modules)
    with workspace() as world, capture_logs() as logs:
        report = build(world.workspace)

    assert ["a"] == [each.subject for each in report.findings]
    assert SECTIONS == tuple(each.id for each in report.sections)
    note = "The part of-nothing failed (ZeroDivisionError): its results are lacking."
    assert (note,) == report.scope.notes
    assert [("report.part_failed", "of-nothing")] == [(log["event"], log["part"]) for log in logs]


def test_notes_are_sorted_and_told_once() -> None:
    """In whatever order the reading met them, the report is the same."""
    with workspace() as world:
        report = build(world.workspace, notes=["b", "a", "b"], requests=7)

    assert (("a", "b"), 7) == (report.scope.notes, report.scope.requests)


def test_scope_counts_the_period_alone() -> None:
    """Runs of the period before are compared with, and not counted."""
    with workspace(compare=True) as world:
        flow = world.flow("f")
        for day in range(10):
            world.run(flow, ended_ago=86_400.0 * day + 60)
        report = build(world.workspace)

    assert 7 == report.scope.flow_runs
    assert "2026-11-06T12:00:00Z" == report.scope.compared_since


@pytest.mark.parametrize("module", [*CHECKS, *USAGE_CHECKS], ids=lambda module: module.__name__)
def test_check_names_a_section(module: ModuleType) -> None:
    """Each check belongs to a section that there is."""
    assert module.SECTION in SECTIONS
    assert module.check.__doc__
