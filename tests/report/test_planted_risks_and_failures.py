"""Each planted defect of the sections failures and risks, alone in a workspace in memory."""

from __future__ import annotations

from importlib import import_module

import pytest

from prefect_exporter.report.model import Finding
from prefect_exporter.report.workspace import Workspace
from report.worlds import workspace

CHECKS = (
    "flow_broken",
    "flow_flaky",
    "retries_mask_failures",
    "failures_in_common",
    "failure_new",
    "failure_rising",
    "retries_missing",
    "runs_without_limit",
    "owner_missing",
    "schedule_denser_than_duration",
    "late_chronic",
    "schedule_never_runs",
    "work_pool_without_worker",
    "concurrency_starved",
    "parameters_large",
    "runs_stuck",
    "cache_stopped_hitting",
)


def _findings(look: Workspace) -> list[Finding]:
    modules = (import_module(f"prefect_exporter.report.checks.{name}") for name in CHECKS)
    return [finding for module in modules for finding in module.check(look)]


@pytest.mark.parametrize("name", CHECKS)
def test_planted_defect_is_found_and_nothing_else(name: str) -> None:
    """What is planted is found, and no check of the two sections finds more in it."""
    with workspace(compare=True) as world:
        expected = import_module(f"report.planted.{name}").plant(world)
        found = _findings(world.workspace)

        assert sorted(expected) == sorted((each.check, each.subject) for each in found)


def test_all_planted_together_are_found_and_nothing_else() -> None:
    """The defects do not hide each other, and together make no new one."""
    with workspace(compare=True) as world:
        expected = [
            pair for name in CHECKS for pair in import_module(f"report.planted.{name}").plant(world)
        ]
        found = _findings(world.workspace)

        assert sorted(expected) == sorted((each.check, each.subject) for each in found)


@pytest.mark.parametrize("name", CHECKS)
def test_finding_is_whole(name: str) -> None:
    """It names its check and section as its module does, and has numbers and all of an action."""
    module = import_module(f"prefect_exporter.report.checks.{name}")
    with workspace(compare=True) as world:
        import_module(f"report.planted.{name}").plant(world)
        (finding, *_) = module.check(world.workspace)

        assert name.replace("_", "-") == finding.check
        assert module.SECTION == finding.section
        assert all(each.numbers and len(each.links) <= 5 for each in finding.evidence)
        assert all((finding.action.change, finding.action.risk, finding.action.rollback))
        assert "\n" not in finding.title


def test_empty_workspace_has_no_findings() -> None:
    """Where nothing is, nothing is found."""
    with workspace(compare=True) as world:
        assert _findings(world.workspace) == []
