"""Each planted defect of the sections environment, dependencies and integrations, in memory."""

from __future__ import annotations

from importlib import import_module

import pytest

from prefect_exporter.report.model import Finding
from prefect_exporter.report.workspace import Workspace
from report.worlds import workspace

CHECKS = (
    "deployment_unused",
    "deployment_duplicate",
    "deployment_paused_forgotten",
    "work_pool_paused_forgotten",
    "work_queue_paused_forgotten",
    "automation_disabled_forgotten",
    "dependency_cycle",
    "blast_radius",
    "automation_targets_missing",
    "integration_failing",
)


def _findings(look: Workspace) -> list[Finding]:
    modules = (import_module(f"prefect_exporter.report.checks.{name}") for name in CHECKS)
    return [finding for module in modules for finding in module.check(look)]


@pytest.mark.parametrize("name", CHECKS)
def test_planted_defect_is_found_and_nothing_else(name: str) -> None:
    """What is planted is found, and no check of the three sections finds more in it."""
    with workspace() as world:
        expected = import_module(f"report.planted.{name}").plant(world)
        found = _findings(world.workspace)

        assert sorted(expected) == sorted((each.check, each.subject) for each in found)


def test_all_planted_together_are_found_and_nothing_else() -> None:
    """The defects do not hide each other, and together make no new one."""
    with workspace() as world:
        expected = [
            pair for name in CHECKS for pair in import_module(f"report.planted.{name}").plant(world)
        ]
        found = _findings(world.workspace)

        assert sorted(expected) == sorted((each.check, each.subject) for each in found)


@pytest.mark.parametrize("name", CHECKS)
def test_finding_is_whole(name: str) -> None:
    """It names its check and section as its module does, and has numbers and all of an action."""
    module = import_module(f"prefect_exporter.report.checks.{name}")
    with workspace() as world:
        import_module(f"report.planted.{name}").plant(world)
        (finding, *_) = module.check(world.workspace)

        assert name.replace("_", "-") == finding.check
        assert module.SECTION == finding.section
        assert all(each.numbers and 1 <= len(each.links) <= 5 for each in finding.evidence)
        assert all((finding.action.change, finding.action.risk, finding.action.rollback))
        assert "\n" not in finding.title


@pytest.mark.parametrize("section", ["environment", "dependencies", "integrations"])
def test_section_of_an_empty_workspace_is_plain_text(section: str) -> None:
    """Where nothing is, nothing is found, and the sections say so in words."""
    with workspace() as world:
        module = import_module(f"prefect_exporter.report.sections.{section}")
        made = module.section(world.workspace)

        assert section == made.id
        assert made.paragraphs
        assert made.graphs == made.charts == ()
        assert _findings(world.workspace) == []
