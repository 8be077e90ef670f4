"""A backup brought back into the stack that it is of."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest

from stack.asking import eventually
from stack.compose import ROOT, Stack

pytestmark = pytest.mark.stack

_FLOW = "kept-by-the-backup"


def test_deleted_deployment_comes_back(whole: Stack, say: Callable[[str], None]) -> None:
    """What somebody has deleted is there again, under its id, and all are well."""
    deployment = _deployment(whole)
    whole.compose("exec", "--no-TTY", "backup", "prefect-backup", "run", "--wait", "database")
    with whole.prefect() as client:
        client.delete(f"/deployments/{deployment}").raise_for_status()
        assert client.get(f"/deployments/{deployment}").status_code == HTTPStatus.NOT_FOUND

    began = time.monotonic()
    told = _restore(whole, "database", "--yes")
    say(f"restore of the database: {time.monotonic() - began:.0f} s by scripts/restore")

    with whole.prefect() as client:
        assert (
            eventually(
                lambda: client.get(f"/deployments/{deployment}").raise_for_status().json(),
                what=f"the deployment, after {told}",
            )["name"]
            == _FLOW
        )
    eventually(lambda: all(it.well for it in whole.containers()), what="all well", within=180)


def _deployment(stack: Stack) -> str:
    with stack.prefect() as client:
        flow = client.post("/flows/", json={"name": _FLOW}).raise_for_status().json()
        body = {"name": _FLOW, "flow_id": flow["id"]}
        made = client.post("/deployments/", json=body).raise_for_status().json()
    return str(made["id"])


def _restore(stack: Stack, *arguments: str) -> str:
    """Run scripts/restore on this stack, as its owner does on his."""
    env = os.environ | {
        "COMPOSE_PROJECT_NAME": stack.name,
        "COMPOSE_PROFILES": ",".join(stack.profiles),
        "COMPOSE_ENV_FILES": str(stack.folder / ".env"),
    }
    ran = subprocess.run(
        [ROOT / "scripts" / "restore", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
