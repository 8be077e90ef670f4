"""The rows of Prefect's answers as a report reads them: more of each than the collectors do.

Shapes are those of Prefect 3.8's REST API. Parameters, variables' values and the contents of blocks
are never decoded, only measured.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Flow,
    Moment,
    Schedule,
    Starts,
    TagLimit,
    ToldLog,
    Worker,
    WorkPool,
    WorkQueue,
)

__all__ = ["ConcurrencyLimit", "Schedule", "TagLimit", "ToldLog", "Worker"]


class Creator(msgspec.Struct, frozen=True):
    """Who made a run."""

    id: UUID | None = None
    type: str | None = None
    display_value: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """How often a run may be tried again."""

    retries: int | None = None
    retry_delay: int | float | list[float] | None = None


class ToldStateDetails(msgspec.Struct, frozen=True):
    """The details of a state that a report reads."""

    child_flow_run_id: UUID | None = None


class ToldState(msgspec.Struct, frozen=True):
    """A state with its message, which may hold anything."""

    type: str
    name: str
    timestamp: Moment
    message: str | None = None
    state_details: ToldStateDetails = ToldStateDetails()


class ToldFlowRun(msgspec.Struct, frozen=True):
    """One row of ``POST /flow_runs/filter``."""

    id: UUID
    name: str
    flow_id: UUID
    run_count: Starts
    total_run_time: float
    state_type: str | None = None
    state_name: str | None = None
    state: ToldState | None = None
    deployment_id: UUID | None = None
    parent_task_run_id: UUID | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    created: Moment | None = None
    expected_start_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    auto_scheduled: bool = False
    created_by: Creator | None = None
    empirical_policy: Policy = Policy()
    tags: list[str] = []
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class ToldTaskRun(msgspec.Struct, frozen=True):
    """One row of ``POST /task_runs/filter``."""

    id: UUID
    name: str
    task_key: str
    run_count: Starts
    total_run_time: float
    flow_run_id: UUID | None = None
    state_type: str | None = None
    state_name: str | None = None
    state: ToldState | None = None
    cache_key: str | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    empirical_policy: Policy = Policy()
    tags: list[str] = []


class ToldFlow(Flow, frozen=True):
    """One row of ``POST /flows/filter``."""

    created: Moment | None = None


class ConcurrencyOptions(msgspec.Struct, frozen=True):
    """What happens to a run that finds no slot: ``ENQUEUE`` or ``CANCEL_NEW``."""

    collision_strategy: str = "ENQUEUE"


class ToldSchedule(Schedule, frozen=True):
    """One schedule of a deployment, with the parameters that its runs get instead.

    To switch it on or off updates it, and not the deployment.
    """

    id: UUID | None = None
    updated: Moment | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class ToldDeployment(Deployment, frozen=True):
    """One row of ``POST /deployments/filter``."""

    updated: Moment | None = None
    version: str | None = None
    entrypoint: str | None = None
    path: str | None = None
    pull_steps: msgspec.Raw = msgspec.Raw(b"null")
    schedules: list[ToldSchedule] = msgspec.field(default_factory=list)  # type: ignore[assignment]  # frozen
    concurrency_options: ConcurrencyOptions | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    job_variables: dict[str, object] = msgspec.field(default_factory=dict)


class ToldWorkPool(WorkPool, frozen=True):
    """One row of ``POST /work_pools/filter``; the template says what each job asks for."""

    created: Moment | None = None
    base_job_template: dict[str, object] = msgspec.field(default_factory=dict)


class ToldWorkQueue(WorkQueue, frozen=True, kw_only=True):
    """One row of ``POST /work_queues/filter``."""

    id: UUID
    updated: Moment | None = None


class ToldWorker(Worker, frozen=True, kw_only=True):
    """One worker, with the pool that it was listed for."""

    work_pool: str


class ToldAutomation(Automation, frozen=True):
    """One row of ``POST /automations/filter``; trigger and actions are of many shapes."""

    trigger: dict[str, object] = msgspec.field(default_factory=dict)
    actions: list[dict[str, object]] = msgspec.field(default_factory=list)
    updated: Moment | None = None


class BlockType(msgspec.Struct, frozen=True):
    """What a block is of."""

    name: str = ""
    slug: str = ""


class ToldBlock(msgspec.Struct, frozen=True):
    """One row of ``POST /block_documents/filter``, without secrets or data."""

    id: UUID
    name: str | None = None
    is_anonymous: bool = False
    block_type: BlockType = BlockType()


class ToldVariable(msgspec.Struct, frozen=True):
    """One row of ``POST /variables/filter``; its value is not decoded."""

    id: UUID
    name: str


class ToldServer(msgspec.Struct, frozen=True):
    """What is known of the server, and what it did not let us read: route and reason."""

    version: str | None = None
    refused: dict[str, str] = {}
