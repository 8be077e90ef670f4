"""The demo's work pools and deployments, made through Prefect's HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

from demo.api import ask

WORKED_POOL = "demo-process"
"""The pool that the demo's worker serves."""

UNATTENDED_POOL = "demo-nobody"
"""The pool without a worker: its runs are late."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Args:
        entrypoint: The flow's function, with its module.
        tags: Owner and importance, as ``key:value``.
        cron: When it runs by itself; None for never.
        flow: The flow's name; None where the deployment has the same.
    """

    name: str
    entrypoint: str
    tags: Sequence[str]
    pool: str = WORKED_POOL
    cron: str | None = None
    flow: str | None = None


DEPLOYMENTS = (
    Deployment("steady", "demo.flows.steady", ("team:payments", "tier:1")),
    Deployment("flaky", "demo.flows.flaky", ("team:payments", "tier:2")),
    Deployment("failing", "demo.flows.failing", ("team:finance", "tier:1")),
    Deployment("slow", "demo.flows.slow", ("team:science", "tier:3")),
    Deployment("timing-out", "demo.flows.timing_out", ("team:science", "tier:3")),
    Deployment("crashing", "demo.flows.crashing", ("team:science", "tier:2")),
    Deployment("parent", "demo.flows.parent", ("team:platform", "tier:1")),
    Deployment("child", "demo.flows.child", ("team:platform", "tier:2")),
    Deployment(
        "every-minute", "demo.flows.every_minute", ("team:platform", "tier:1"), cron="* * * * *"
    ),
    Deployment(
        "unattended",
        "demo.flows.unattended",
        ("team:finance", "tier:2"),
        UNATTENDED_POOL,
        "0 * * * *",
    ),
)


def deploy(
    client: httpx.Client, deployments: Sequence[Deployment] = DEPLOYMENTS
) -> Mapping[str, str]:
    """Make the pools and *deployments*, and one run that is late from the start.

    Where they are there already, they are brought up to date, and no second run is made.

    Returns:
        Each deployment's name with its id.
    """
    for pool in (WORKED_POOL, UNATTENDED_POOL):
        _make_pool(client, pool)
    ids = {deployment.name: _create(client, deployment) for deployment in deployments}
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    start_run(client, ids["unattended"], scheduled=an_hour_ago, idempotency_key="late")
    return ids


def start_run(
    client: httpx.Client,
    deployment_id: str,
    *,
    scheduled: datetime | None = None,
    idempotency_key: str | None = None,
) -> None:
    """Ask for a run of a deployment, now or at an aware time, which may have passed.

    Of several with the same *idempotency_key* only the first is made.
    """
    when = (scheduled or datetime.now(UTC)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
    path = f"/deployments/{deployment_id}/create_flow_run"
    ask(client, path, state=state, idempotency_key=idempotency_key)


def _make_pool(client: httpx.Client, name: str) -> None:
    try:
        ask(client, "/work_pools/", name=name, type="process")
    except httpx.HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.CONFLICT:
            raise


def _create(client: httpx.Client, deployment: Deployment) -> str:
    tags = list(deployment.tags)
    schedules = [{"active": True, "schedule": {"cron": deployment.cron}}] if deployment.cron else []
    created = ask(
        client,
        "/deployments/",
        name=deployment.name,
        flow_id=ask(client, "/flows/", name=deployment.flow or deployment.name, tags=tags)["id"],
        entrypoint=deployment.entrypoint,
        work_pool_name=deployment.pool,
        schedules=schedules,
        tags=tags,
    )
    return str(created["id"])
