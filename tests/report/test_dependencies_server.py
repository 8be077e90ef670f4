"""The graph of real flows and a real automation, read from a real server by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from demo.api import ask
from demo.prefect_server import PrefectServer
from report.events import runs, when
from report.planting import Planter, still_server

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_FLOWS = Path(__file__).with_name("started_flows.py")
_COMMAND = Path(sys.executable).with_name("prefect-exporter")


def test_arrows_are_those_that_prefect_made(tmp_path: Path) -> None:
    """A subflow, a run of a deployment and a run of an automation are told apart and counted."""
    with still_server() as server:
        with Planter(server) as planter:
            planter.deployment(planter.flow("remote"), "later")
            target = planter.deployment(planter.flow("after"), "parent")
            trigger = when("prefect.flow-run.Completed")
            trigger["match_related"] = {
                "prefect.resource.role": "flow",
                "prefect.resource.name": "parent",
            }
            planter.automation("then", trigger, [runs(target)])
        _run_flows(server, tmp_path)
        _wait_for_run(server, target)
        report = _report(server, tmp_path)
    section = next(each for each in report["sections"] if each["id"] == "dependencies")
    (graph,) = section["graphs"]
    names = {each["id"]: each["name"] for each in graph["nodes"]}
    edges = {
        (names[each["source"]], names[each["target"]], each["kind"], each["runs"])
        for each in graph["edges"]
    }

    assert edges == {
        ("parent", "inline", "subflow", 1),
        ("parent", "remote/later", "run_deployment", 1),
        ("parent", "then", "event", 0),
        ("then", "after/parent", "automation", 1),
    }


def _run_flows(server: PrefectServer, folder: Path) -> None:
    environment = os.environ | {
        "PREFECT_API_URL": str(server.client().base_url),
        "PREFECT_HOME": str(folder),
    }
    subprocess.run([sys.executable, _FLOWS], env=environment, check=True, timeout=120)


def _wait_for_run(server: PrefectServer, deployment: object) -> None:
    asked = {"deployments": {"id": {"any_": [str(deployment)]}}}
    until = time.monotonic() + 30
    with server.client() as api:
        while not ask(api, "/flow_runs/filter", **asked):
            assert time.monotonic() < until, "the automation started nothing"
            # The server's own services decide when.
            time.sleep(0.2)


def _report(server: PrefectServer, folder: Path) -> dict[str, Any]:
    with server.client() as api:
        environment = {"PREFECT_API_URL": str(api.base_url), "HOME": str(folder)}
    state = str(folder / "state")
    command = [str(_COMMAND), "report", "--format", "json", "--state", state, "--since", "1h"]
    done = subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told
