"""What the planter writes is read by Prefect's API as its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.prefect_server import PrefectServer
from report.planting import Planter, still_server

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[PrefectServer]:
    with still_server() as server:
        yield server


def test_planted_world_is_read_by_the_api(server: PrefectServer) -> None:
    """Runs, states, tasks, subflows, logs, pools and workers come back with what was planted."""
    with Planter(server) as planter:
        flow, child = planter.flow("parent", ["team:a"]), planter.flow("child")
        planter.pool("p", limit=3)
        planter.queue("p", "fast", limit=1)
        planter.worker("p", "w")
        planter.tag_limit("db", 2)
        planter.global_limit("g", 4)
        nightly = planter.deployment(flow, "nightly", cron="0 3 * * *", pool="p", queue="fast")
        planter.automation(
            "again",
            {
                "type": "event",
                "posture": "Reactive",
                "expect": ["x.y"],
                "threshold": 1,
                "within": 0,
            },
            [{"type": "run-deployment", "source": "selected", "deployment_id": str(nightly)}],
        )
        run = planter.run(
            flow, nightly, ended_ago=3600, seconds=60, state="TimedOut", message="too slow"
        )
        planter.run(child, ended_ago=3601, parent=run)
        planter.run(flow, nightly, ended_ago=600, state="Late")
        task = planter.task(run, "load", state="Failed", attempts=3, retries=2, tags=["db"])
        planter.log(run, "Traceback", task=task, ago=3600)
    with server.client() as api:
        told = api.get(f"/flow_runs/{run}").json()
        tasks = api.post("/task_runs/filter", json={"sort": "ID_DESC"}).json()
        late = {"state": {"name": {"any_": ["Late"]}}}
        logs = api.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(run)]}}}).json()
        workers = api.post("/work_pools/p/workers/filter", json={}).json()

        assert ("FAILED", "TimedOut", "too slow", 60.0, "p", "fast") == (
            told["state"]["type"],
            told["state"]["name"],
            told["state"]["message"],
            told["total_run_time"],
            told["work_pool_name"],
            told["work_queue_name"],
        )
        assert {"load": None, "subflow": True} == {
            each["name"].partition("-")[0]: each["state"]["state_details"]["child_flow_run_id"]
            and True
            for each in tasks
        }
        assert 1 == api.post("/flow_runs/count", json={"flow_runs": late}).json()
        assert ["Traceback"] == [each["message"] for each in logs]
        assert ["ONLINE"] == [each["status"] for each in workers]
