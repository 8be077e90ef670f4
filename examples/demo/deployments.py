"""The demo's work pools and deployments, made through Prefect's HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from demo.prefect_server import ask

WORKED_POOL = "demo-process"
"""The pool that the demo's worker serves."""

UNATTENDED_POOL = "demo-nobody"
"""The pool without a worker: its runs are late."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, of the flow of the same name.

    Args:
        function: The flow's function in `demo.flows`.
        tags: Owner and importance, as ``key:value``.
        cron: When it runs by itself; None for never.
    """

    name: str
    function: str
    tags: Sequence[str]
    pool: str = WORKED_POOL
    cron: str | None = None


DEPLOYMENTS = (
    Deployment("steady", "steady", ("team:payments", "tier:1")),
    Deployment("flaky", "flaky", ("team:payments", "tier:2")),
    Deployment("failing", "failing", ("team:finance", "tier:1")),
    Deployment("slow", "slow", ("team:science", "tier:3")),
    Deployment("timing-out", "timing_out", ("team:science", "tier:3")),
    Deployment("crashing", "crashing", ("team:science", "tier:2")),
    Deployment("parent", "parent", ("team:platform", "tier:1")),
    Deployment("child", "child", ("team:platform", "tier:2")),
    Deployment("every-minute", "every_minute", ("team:platform", "tier:1"), cron="* * * * *"),
    Deployment(
        "unattended", "unattended", ("team:finance", "tier:2"), UNATTENDED_POOL, "* * * * *"
    ),
)


def deploy(client: httpx.Client) -> Mapping[str, str]:
    """Make the pools and deployments, and one run that is late from the start.

    Returns:
        Each deployment's name with its id.
    """
    for pool in (WORKED_POOL, UNATTENDED_POOL):
        ask(client, "/work_pools/", name=pool, type="process")
    ids = {deployment.name: _create(client, deployment) for deployment in DEPLOYMENTS}
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    start_run(client, ids["unattended"], scheduled=an_hour_ago)
    return ids


def start_run(
    client: httpx.Client, deployment_id: str, *, scheduled: datetime | None = None
) -> None:
    """Ask for a run of a deployment, now or at an aware time, which may have passed."""
    when = (scheduled or datetime.now(UTC)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
    ask(client, f"/deployments/{deployment_id}/create_flow_run", state=state)


def _create(client: httpx.Client, deployment: Deployment) -> str:
    tags = list(deployment.tags)
    schedules = [{"active": True, "schedule": {"cron": deployment.cron}}] if deployment.cron else []
    created = ask(
        client,
        "/deployments/",
        name=deployment.name,
        flow_id=ask(client, "/flows/", name=deployment.name, tags=tags)["id"],
        entrypoint=f"demo.flows.{deployment.function}",
        work_pool_name=deployment.pool,
        schedules=schedules,
        tags=tags,
    )
    return str(created["id"])
