"""The example of docs/report.md: a deployment that reports on all others, in a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.api import ask, change
from demo.deployments import WORKED_POOL, deploy
from demo.prefect_server import start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox
from demo.worker import start_worker
from reporting.flows import ARTIFACT

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ENDED = {"COMPLETED", "FAILED", "CRASHED"}


@pytest.fixture(name="client", scope="module")
def _client() -> Iterator[httpx.Client]:
    """A server with the demo's deployments and a worker; nothing but reports has run."""
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox, auth="demo:secret word")
        with server.client() as client:
            deploy(client)
            # The answer to the first run must not wait for a scheduled one.
            for each in ask(client, "/deployments/filter"):
                change(client, f"/deployments/{each['id']}", paused=True)
            start_worker(sandbox, server, pool=WORKED_POOL, PREFECT_WORKER_QUERY_SECONDS="1")
            yield client


def run_report(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    """Run the deployment and return its run when it has ended."""
    found = ask(client, "/deployments/filter", deployments={"name": {"any_": [ARTIFACT]}})
    change(client, f"/deployments/{found[0]['id']}", paused=False)
    path = f"/deployments/{found[0]['id']}/create_flow_run"
    run = ask(client, path, parameters=parameters)["id"]

    def found_run() -> dict[str, Any]:
        (row,) = ask(client, "/flow_runs/filter", flow_runs={"id": {"any_": [run]}})
        return dict(row)

    wait_until(
        lambda: found_run()["state_type"] in ENDED, within=120, what="the end of the report's run"
    )
    return found_run()


def kept(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the report that was kept last; none before the first."""
    rows = ask(client, "/artifacts/latest/filter", artifacts={"key": {"any_": [ARTIFACT]}})
    return [dict(row) for row in rows]


def newest(client: httpx.Client) -> dict[str, Any]:
    """Return the report that was kept last."""
    (row,) = kept(client)
    return row


def test_report_becomes_an_artifact(client: httpx.Client) -> None:
    """A run of the deployment leaves the report, as Markdown, where people look in Prefect."""
    run = run_report(client)

    assert "COMPLETED" == run["state_type"], run["state"]
    artifact = newest(client)
    assert "markdown" == artifact["type"]
    assert run["id"] == artifact["flow_run_id"]
    assert artifact["data"].startswith("# ")
    assert "## Executive summary" in artifact["data"]
    assert "secret word" not in artifact["data"]


def test_run_fails_where_the_report_finds_too_much(client: httpx.Client) -> None:
    """A finding as severe as asked fails the run; the report is kept all the same."""
    run = run_report(client, fail_on="high")

    assert "FAILED" == run["state_type"], run["state"]
    assert "FindingsTooSevere" in run["state"]["message"]
    artifact = newest(client)
    assert run["id"] == artifact["flow_run_id"]
    assert "demo-nobody" in artifact["data"]


def test_report_that_cannot_be_made_says_why(client: httpx.Client) -> None:
    """A wrong option ends the run with what the command said, and keeps no report."""
    before = kept(client)

    run = run_report(client, since="yesterday")

    assert "FAILED" == run["state_type"], run["state"]
    assert "--since" in run["state"]["message"]
    assert before == kept(client)


def test_report_that_was_not_sent_is_kept(client: httpx.Client, tmp_path: Path) -> None:
    """Where an address does not take it the run fails, once, and the report is there."""
    addresses = tmp_path / "addresses"
    addresses.write_text("json://127.0.0.1:9/hunter2\n")

    run = run_report(client, send_to_file=str(addresses))

    assert "FAILED" == run["state_type"], run["state"]
    assert "address 1 (json)" in run["state"]["message"]
    assert "hunter2" not in run["state"]["message"]
    assert run["id"] == newest(client)["flow_run_id"]
