"""Known defects in a real server: each one is found, and nothing that was not planted."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from report import planted
from report.planting import Planter, still_server
from report.world import World

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

HOUR, DAY = 3_600.0, 86_400.0
Pairs = set[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Made:
    """One report of the real command, and what was to be found by it."""

    expected: Pairs
    report: dict[str, Any]

    @property
    def found(self) -> Pairs:
        """Check and subject of each finding."""
        return {(each["check"], each["subject"]) for each in self.report["findings"]}

    def table(self) -> str:
        """Return what was planted, found, missed and invented, by check."""
        lines = [["CHECK", "PLANTED", "FOUND", "MISSED", "INVENTED"]]
        for check in sorted({check for check, _ in self.expected | self.found}):
            wanted = {pair for pair in self.expected if pair[0] == check}
            found = {pair for pair in self.found if pair[0] == check}
            parts = (wanted, wanted & found, wanted - found, found - wanted)
            lines.append([check, *(str(len(part)) for part in parts)])
        return "\n".join(f"{name:34}" + "".join(f"{n:>10}" for n in rest) for name, *rest in lines)


def planted_modules() -> Sequence[str]:
    """Return the names of all that plant a defect."""
    return sorted(each.name for each in pkgutil.iter_modules(planted.__path__))


def report_of(api_url: str, folder: Path) -> dict[str, Any]:
    """Return the report that the real command makes of a server."""
    output = folder / "report.json"
    command = [sys.executable, "-m", "prefect_exporter", "report", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PREFECT_API_URL": api_url}
    done = subprocess.run(
        [*command, "--output", str(output)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(output.read_bytes())
    return report


def clean(world: World) -> None:
    """Plant a workspace as it ought to be: owned, retried, punctual, served."""
    world.pool("pool", limit=10)
    world.worker("pool", "worker")
    for name in ("extract", "load"):
        flow = world.flow(name, ["team:data"])
        nightly = world.deployment(flow, "hourly", cron="0 * * * *", pool="pool")
        for hour in range(13 * 24):
            # Now and then one takes longer, and one fails in a month: that is no defect.
            seconds = 60.0 + 7 * (hour * 7919 % 5)
            state = "Failed" if hour == 100 else "Completed"
            run = world.run(
                flow,
                nightly,
                ended_ago=hour * HOUR + 30.0,
                seconds=seconds,
                state=state,
                message="connection reset by peer" if state == "Failed" else "",
                retries=2,
            )
            world.task(run, "rows", seconds=seconds / 2, retries=2)
            world.task(run, "store", seconds=seconds / 2, after=seconds / 2, retries=2)


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    expected: Pairs = set()
    with still_server() as server:
        with Planter(server) as planter:
            for name in planted_modules():
                expected |= set(import_module(f"report.planted.{name}").plant(planter))
        return Made(expected, report_of(server.api_url, tmp_path_factory.mktemp("planted")))


def test_every_planted_defect_is_found(made: Made) -> None:
    """Of all that was planted nothing is missed."""
    print(made.table())  # for the closing note

    assert made.expected - made.found == set()


def test_nothing_is_invented(made: Made) -> None:
    """What was not planted is not found."""
    assert made.found - made.expected == set()


def test_every_check_was_planted(made: Made) -> None:
    """No check goes without a defect of its own that it has to find."""
    from prefect_exporter.report.checks import CHECKS  # noqa: PLC0415  # with the extra alone

    checks = {each.__name__.rpartition(".")[2].replace("_", "-") for each in CHECKS}

    assert checks == {check for check, _ in made.expected}


def test_findings_carry_evidence(made: Made) -> None:
    """Each finding has a sentence, its numbers or links, an exact change and its way back."""
    for each in made.report["findings"]:
        evidence, action = each["evidence"], each["action"]

        assert evidence, each
        assert all(one["text"] and (one["numbers"] or one["links"]) for one in evidence), each
        assert action["change"], each
        assert action["risk"], each
        assert action["rollback"], each
        assert all(len(one["links"]) <= 5 for one in evidence), each


def test_no_part_of_the_report_fails(made: Made) -> None:
    """Every check and section works on all of it at once."""
    assert not [each for each in made.report["scope"]["notes"] if "failed" in each]
    assert len(made.report["sections"]) == 9


def test_clean_workspace_has_no_finding(tmp_path: Path) -> None:
    """A workspace as it ought to be is told so."""
    with still_server() as server:
        with Planter(server) as planter:
            clean(planter)
        report = report_of(server.api_url, tmp_path)

    assert [] == report["findings"]
    assert len(report["sections"]) == 9
