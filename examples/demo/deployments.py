"""The demo's work pools and deployments, made through Prefect's HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

from demo.api import ask, change

WORKED_POOL = "demo-process"
"""The pool that the demo's worker serves."""

UNATTENDED_POOL = "demo-nobody"
"""The pool without a worker: its runs are late."""

_LIMITS = {WORKED_POOL: 10}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Args:
        entrypoint: The flow's function, with its module.
        tags: Owner and importance, as ``key:value``.
        cron: When it runs by itself; None for never.
        limit: How many runs may be under way at once; None for any number.
        flow: The flow's name; None where the deployment has the same.
        queue: Of the pool; None for its default one.
        parameters: What a run gets that is started without any.
    """

    name: str
    entrypoint: str
    tags: Sequence[str]
    pool: str = WORKED_POOL
    cron: str | None = None
    limit: int | None = None
    flow: str | None = None
    queue: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


DEPLOYMENTS = (
    Deployment("steady", "demo.flows.steady", ("team:payments", "tier:1")),
    Deployment(
        "flaky",
        "demo.flows.flaky",
        ("team:payments", "tier:2", "slo:fresh=30m", "slo:duration=5m", "slo:delay=2m"),
        cron="*/5 * * * *",
    ),
    Deployment("failing", "demo.flows.failing", ("team:finance", "tier:1")),
    Deployment("slow", "demo.flows.slow", ("team:science", "tier:3"), limit=2),
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
    Deployment(
        "workspace-report",
        "reporting.flows.workspace_report",
        ("team:platform", "tier:3"),
        cron="0 6 * * *",
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
    for pool in dict.fromkeys(deployment.pool for deployment in deployments):
        _make_once(client, "/work_pools/", name=pool, type="process")
        # A worker that was faster has made its pool without one.
        change(client, f"/work_pools/{pool}", concurrency_limit=_LIMITS.get(pool))
    urgent = {"name": "urgent", "priority": 1, "concurrency_limit": 2}
    _make_once(client, f"/work_pools/{WORKED_POOL}/queues", **urgent)
    _make_once(client, "/concurrency_limits/", tag="warehouse", concurrency_limit=4)
    _make_once(client, "/v2/concurrency_limits/", name="upstream", limit=5)
    _automate(client)
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


def _make_once(client: httpx.Client, path: str, /, **body: object) -> None:
    try:
        ask(client, path, **body)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.CONFLICT:
            raise


def _automate(client: httpx.Client) -> None:
    """Have Prefect notice each failure, once: automations may share a name."""
    name = "demo: notice a failure"
    if not ask(client, "/automations/filter", automations={"name": {"any_": [name]}}):
        failure = {
            "type": "event",
            "posture": "Reactive",
            "expect": ["prefect.flow-run.Crashed", "prefect.flow-run.Failed"],
            "threshold": 1,
            "within": 0,
        }
        ask(client, "/automations/", name=name, trigger=failure, actions=[{"type": "do-nothing"}])


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
        work_queue_name=deployment.queue,
        parameters=deployment.parameters,
        schedules=schedules,
        concurrency_limit=deployment.limit,
        tags=tags,
    )
    return str(created["id"])
