"""What was seen of flow runs that are late, and what follows from it: frozen values.

Times are microseconds since 1970. Names stand here as Prefect told them: who shows them escapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Cause(StrEnum):
    """What holds a flow run back, in the order in which it has to be mended."""

    POOL_PAUSED = "pool-paused"
    QUEUE_PAUSED = "queue-paused"
    DEPLOYMENT_PAUSED = "deployment-paused"
    SCHEDULER_BEHIND = "scheduler-behind"
    NO_WORKER = "no-worker"
    NOT_SERVED = "not-served"
    QUEUE_NOT_POLLED = "queue-not-polled"
    QUEUE_LIMIT_FULL = "queue-limit-full"
    HIGHER_PRIORITY_QUEUE = "higher-priority-queue"
    POOL_LIMIT_FULL = "pool-limit-full"
    DEPLOYMENT_LIMIT_FULL = "deployment-limit-full"
    GLOBAL_LIMIT_FULL = "global-limit-full"
    TAG_LIMIT_FULL = "tag-limit-full"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose runs are late, and where they wait; "" and None for what there is not."""

    flow: str
    deployment: str = ""
    work_pool: str = ""
    work_queue: str = ""
    deployment_id: UUID | None = None

    @property
    def name(self) -> str:
        """``flow/deployment``, or the flow alone."""
        return f"{self.flow}/{self.deployment}" if self.deployment else self.flow


@dataclass(frozen=True, slots=True)
class Holder:
    """A flow run that holds a slot; *queue* is where it came from."""

    run_id: UUID
    flow: str
    queue: str = ""
    since_us: int | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """A limit.

    Args:
        name: As Prefect's commands take it.
        used: How many slots are taken, as Prefect counts them.
        holders: Who is known to hold them, the longest first.
        waiting: For the limit of a tag: how many task runs wait for it.
    """

    name: str
    limit: int
    used: float
    holders: tuple[Holder, ...] = ()
    waiting: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing more can start."""
        return self.used >= self.limit


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker; *heard_us* is its last heartbeat."""

    name: str
    online: bool
    heard_us: int | None = None


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """The work pool in which runs wait; *slots* is None without a limit."""

    name: str
    type: str
    paused: bool = False
    slots: Slots | None = None
    workers: tuple[WorkerSeen, ...] = ()

    @property
    def online(self) -> int:
        """How many workers are online."""
        return sum(each.online for each in self.workers)


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """The work queue in which runs wait; priority 1 is served first."""

    name: str
    paused: bool = False
    slots: Slots | None = None
    priority: int | None = None
    last_polled_us: int | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A queue of the same pool that is served first: the slots it holds, and what is due in it."""

    name: str
    priority: int
    held: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the schedules of a deployment ask for.

    Args:
        following_us: When it is due next; None where no active schedule is ever due.
        to_come: How many runs Prefect has made ahead.
    """

    following_us: int | None
    to_come: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of runs of one deployment that wait in one queue.

    Args:
        late: How many flow runs wait; 0 where a deployment is looked at that none is late of.
        oldest_us: When the first of them was due.
        ahead: Queues of the pool that come first.
        limit: Of the deployment: one of its own, or a global one that it was given.
        tags: Full limits of tags for which task runs of these runs wait; the flow runs have begun.
        plan: Its schedules; None where nobody looked.
        paused: Whether the deployment is paused.
        ready: Whether a served deployment is asked for, as Prefect says; None where it does not.
    """

    now_us: int
    subject: Subject
    late: int = 0
    oldest_us: int | None = None
    pool: PoolSeen | None = None
    queue: QueueSeen | None = None
    ahead: tuple[Ahead, ...] = ()
    limit: Slots | None = None
    tags: tuple[Slots, ...] = ()
    plan: Plan | None = None
    paused: bool = False
    ready: bool | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause that holds.

    Args:
        text: The evidence, one sentence.
        mend: Commands that mend it, the best first; a line with ``#`` is not to be run.
        numbers: What the sentence says, by name.
        holders: Runs to look at, five at most.
    """

    cause: Cause
    text: str
    mend: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why runs are late: every cause that holds, the one to mend first at the front."""

    subject: Subject
    late: int
    oldest_us: int | None
    reasons: tuple[Reason, ...]

    @property
    def cause(self) -> Cause:
        """What has to be mended first."""
        return self.reasons[0].cause
