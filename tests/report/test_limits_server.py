"""The commands that change a limit do so on a real server, with Prefect's own client."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_exporter.report.limits import change
from prefect_exporter.report.performance.slots import Place
from report.planting import Planter, still_server
from report.worlds import workspace

pytestmark = pytest.mark.real


@pytest.mark.timeout(300)
def test_each_limit_is_changed_by_its_command(tmp_path: Path) -> None:
    """Of a pool, a queue and a deployment; names may have spaces and quotes."""
    with still_server() as server, workspace() as world:
        with Planter(server) as planter:
            planter.pool("it's k8s", limit=3)
            planter.queue("it's k8s", "fast lane", limit=1)
            deployment = planter.deployment(planter.flow("etl"), "nightly", limit=1)
        world.deployment(world.flow("etl"), "nightly", id=str(deployment))
        places = (
            Place("work pool", "it's k8s", 3, "it's k8s"),
            Place("work queue", "it's k8s/fast lane", 1, "it's k8s", "fast lane"),
            Place("deployment", "etl/nightly", 1, deployment_id=deployment.bytes),
        )
        commands = [change(world.workspace, place, 7) for place in places]
        environment = os.environ | {"HOME": str(tmp_path), "PREFECT_API_URL": server.api_url}
        prefect = str(Path(sys.executable).with_name("prefect"))
        # Side by side: the command line takes seconds to be imported.
        changing = [
            subprocess.Popen([prefect, *shlex.split(each)[1:]], env=environment)
            for each in commands
        ]
        ended = [process.wait(timeout=200) for process in changing]
        with server.client() as api:
            pool = api.get("/work_pools/it's k8s").json()
            queue = api.get("/work_pools/it's k8s/queues/fast lane").json()
            told = api.get(f"/deployments/{deployment}").json()

    assert all(each.startswith("prefect ") for each in commands)
    assert ended == [0, 0, 0]
    assert pool["concurrency_limit"] == 7
    assert queue["concurrency_limit"] == 7
    assert told["global_concurrency_limit"]["limit"] == 7
