"""The workflow that runs `.ci/run`, gates on the report, and deploys the examples."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.api import ask
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
JOBS: Mapping[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]

FOUND = 5
"""The report's exit code where it has found what is severe."""


class Runner:
    """What a job's steps need of the machine that runs them."""

    def __init__(self, sandbox: Sandbox, server: PrefectServer) -> None:
        self._sandbox = sandbox
        self._server = server
        self.workspace = sandbox.subfolder("workspace")
        for name in (".venv", "examples"):
            (self.workspace / name).symlink_to(ROOT / name)

    def run(self, job: str) -> Mapping[str, int]:
        """Run the job's commands, but for the set-up; return the exit code of each."""
        steps = [
            step for step in JOBS[job]["steps"] if step.get("run", "make setup") != "make setup"
        ]
        return {step["run"]: self._step(step, JOBS[job]["env"]) for step in steps}

    def _step(self, step: Mapping[str, Any], of_job: Mapping[str, str]) -> int:
        env = {name: self._value(text) for name, text in {**of_job, **step.get("env", {})}.items()}
        ran = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            env=self._sandbox.prefect_environment(
                "runner", GITHUB_STEP_SUMMARY=str(self.workspace / "summary.md"), **env
            ),
            cwd=self.workspace / step.get("working-directory", "."),
            capture_output=True,
            text=True,
            check=False,
        )
        print(step["run"], ran.stdout, ran.stderr, sep="\n")
        return ran.returncode

    def _value(self, text: str) -> str:
        for expression, value in {
            "vars.PREFECT_API_URL": self._server.api_url,
            "secrets.PREFECT_API_KEY": "pnu_of-nobody",
            "github.workspace": str(self.workspace),
        }.items():
            text = text.replace(f"${{{{ {expression} }}}}", value)
        return text


@pytest.fixture(name="server", scope="module")
def _server(sandbox: Sandbox) -> PrefectServer:
    return start_prefect_server(sandbox)


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(name="runner", scope="module")
def _runner(sandbox: Sandbox, server: PrefectServer) -> Runner:
    return Runner(sandbox, server)


def test_workflow_is_one() -> None:
    """The schema of the service that runs it has nothing against it."""
    program = [str(ROOT / ".venv" / "bin" / "check-jsonschema"), "--builtin-schema"]

    ran = subprocess.run(
        [*program, "vendor.github-workflows", str(WORKFLOW)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout


def test_nothing_is_deployed_that_was_not_checked() -> None:
    """The checks are `.ci/run`; the gate comes after them, and the deployment after the gate."""
    last = JOBS["checks"]["steps"][-1]["run"]

    assert last.endswith(" .ci/run")
    assert ["checks", "report"] == [JOBS[job]["needs"] for job in ("report", "deploy")]
    assert not any(step.get("continue-on-error") for job in JOBS.values() for step in job["steps"])


@pytest.mark.real
@pytest.mark.timeout(300)
def test_gate_opens_and_closes(runner: Runner, server: PrefectServer) -> None:
    """A workspace without severe findings passes; one with a pool that nobody serves does not."""
    calm = runner.run("report")
    with server.client() as api:
        _make_late(api)
    severe = runner.run("report")

    assert {0} == set(calm.values())
    assert {command: FOUND if "--fail-on" in command else 0 for command in severe} == severe
    assert "unserved has no worker" in (runner.workspace / "summary.md").read_text()
    assert 0o600 == (runner.workspace / ".prefect-api-key").stat().st_mode & 0o777


def _make_late(api: Any) -> None:  # noqa: ANN401 - an HTTP client
    ask(api, "/work_pools/", name="unserved", type="process")
    flow = ask(api, "/flows/", name="waiting")["id"]
    body = {"name": "waiting", "flow_id": flow, "work_pool_name": "unserved"}
    deployment = ask(api, "/deployments/", **body)["id"]
    due = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    for _ in range(12):
        ask(api, f"/deployments/{deployment}/create_flow_run", state=state)
