"""The demo as a container beside a server: it starts again and again, and ends when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from demo import pipeline
from demo.api import ask
from demo.deployments import DEPLOYMENTS, UNATTENDED_POOL, WORKED_POOL
from demo.prefect_server import start_prefect_server
from demo.processes import free_port, wait_until
from demo.sandbox import Sandbox

AUTH = "admin:sesame-of-a-test"
EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def busy(folder: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m demo.stack`` until the block ends; its pulse is in *folder*."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(EXAMPLES), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.stack"],
        env=environment | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask it to end; return its code and what it wrote, which takes no more than seconds."""
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=5)
    return process.returncode, told


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_second_start_makes_nothing_twice(tmp_path: Path) -> None:
    """Pools, deployments, schedules, automation and first runs are there once after two starts."""
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox, auth=AUTH)
        for time in ("first", "second"):
            folder = tmp_path / time
            folder.mkdir()
            with busy(folder, DEMO_INTERVAL="1", **server.client_environment) as process:
                wait_until((folder / "demo-pulse").exists, within=90, what="a round")
                code, told = ended(process)

            assert (0, "demo: a run starts every 1 s\n") == (code, told)
        with server.client() as client:
            seen = _made(client)

    made = (*DEPLOYMENTS, *pipeline.DEPLOYMENTS)
    assert Counter(each.name for each in made) + Counter(["shop"]) == seen["deployments"]
    assert Counter([UNATTENDED_POOL, WORKED_POOL, pipeline.POOL]) == seen["pools"]
    assert Counter(each.name for each in made if each.cron) == seen["schedules"]
    assert Counter(["demo: notice a failure"]) == seen["automations"]
    assert Counter({"unattended": 1, "pretend-orders": 1}) == seen["once"]


def _made(client: httpx.Client) -> dict[str, Counter[str]]:
    deployments = ask(client, "/deployments/filter")
    names = {each["id"]: each["name"] for each in deployments}
    keyed = ask(client, "/flow_runs/filter")
    return {
        "deployments": Counter(names.values()),
        "pools": Counter(each["name"] for each in ask(client, "/work_pools/filter")),
        "schedules": Counter(each["name"] for each in deployments for _ in each["schedules"]),
        "automations": Counter(each["name"] for each in ask(client, "/automations/filter")),
        "once": Counter(
            names[each["deployment_id"]]
            for each in keyed
            if each["idempotency_key"] in {"late", "first"}
        ),
    }


def test_it_waits_for_the_server_and_ends_at_once(tmp_path: Path) -> None:
    """Without a server it says so, goes on, has no pulse, and ends with 0 on SIGTERM."""
    url = f"http://127.0.0.1:{free_port()}/api"
    with busy(tmp_path, PREFECT_API_URL=url) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        code, told = ended(process)

    assert line.startswith(f"demo: {url}/ does not do as asked: ")
    assert (0, "") == (code, told)
    assert not (tmp_path / "demo-pulse").exists()


def test_an_interval_that_is_none_ends_it(tmp_path: Path) -> None:
    """A bad interval is one line and code 2."""
    with busy(tmp_path, DEMO_INTERVAL="soon") as process:
        told, _ = process.communicate(timeout=30)

    assert (2, "demo: DEMO_INTERVAL is not a number of seconds\n") == (process.returncode, told)
