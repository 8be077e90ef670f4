"""What the collectors of a Prefect learnt, in as few words as a test of its health wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from prefect_exporter.collectors.deployment_history import DeploymentHistory
from prefect_exporter.collectors.deployment_schedules import DeploymentSchedules, Plan
from prefect_exporter.collectors.deployments import Deployments
from prefect_exporter.collectors.flow_runs_active import ActiveFlowRuns
from prefect_exporter.collectors.flow_runs_late import LateFlowRuns
from prefect_exporter.collectors.heartbeats import Heartbeats
from prefect_exporter.collectors.late_causes import LateCauses
from prefect_exporter.collectors.server import Server
from prefect_exporter.collectors.work_pools import WorkPools
from prefect_exporter.collectors.workers import Workers
from prefect_exporter.facts import End
from prefect_exporter.failures.model import Basis, Failed, Group, Recent, Signature
from prefect_exporter.health.model import Rate
from prefect_exporter.health.readings import Reading, Readings
from prefect_exporter.labels import clip
from prefect_exporter.lateness.model import Cause, Diagnosis, Reason, Subject
from prefect_exporter.ledger.streaks import Streak
from prefect_exporter.metrics import Labels
from prefect_exporter.moments import HOUR, MINUTE, SECOND, micros, moment
from prefect_exporter.roster import Listed
from prefect_exporter.status import CollectorStatus
from prefect_exporter.ui_links import ui_links
from prefect_exporter.wire import Timing, Worker, WorkPool

NOW = datetime(2026, 11, 21, 14, 50, 3, tzinfo=UTC)
NOW_US = micros(NOW)
URL = "http://127.0.0.1:4200/api"
WATCHED = (
    "flow_runs",
    "task_runs",
    "server",
    "flow_runs_late",
    "flow_runs_active",
    "work_pools",
    "workers",
    "deployment_history",
    "deployment_schedules",
)


def works(name: str, **changes: Any) -> CollectorStatus:  # noqa: ANN401 - the status' own fields
    """Return the status of a collector that learnt something 4 s ago."""
    good = CollectorStatus(
        target="default",
        name=name,
        required=name in {"flow_runs", "task_runs"},
        polls=12_345,
        succeeded=True,
        last_success=NOW - timedelta(seconds=4),
        duration_seconds=0.084,
        fresh=True,
        error_kind=None,
        error=None,
    )
    return replace(good, **changes)


@dataclass
class World:
    """A Prefect in which everything is all right, until it is told otherwise.

    Every method changes it, and *readings* is how it is seen.
    """

    name: str = "default"
    url: str = URL
    server: Server = field(default_factory=lambda: Server(up=True, ready=True, version="3.8.8"))
    listed: list[Listed] = field(default_factory=list)
    late: dict[Labels, tuple[int, float]] = field(default_factory=dict)
    active: dict[Labels, tuple[int, float]] = field(default_factory=dict)
    silent: dict[Labels, float] = field(default_factory=dict)
    pools: list[WorkPool] = field(default_factory=list)
    workers: dict[str, list[Worker]] = field(default_factory=dict)
    streaks: dict[Labels, Streak] = field(default_factory=dict)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    scheduled: int = 3
    plans: dict[Labels, Plan] = field(default_factory=dict)
    idle: dict[Labels, float] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    recent: list[Recent] = field(default_factory=list)
    rate: Rate = field(default_factory=Rate)
    latency_seconds: float | None = 0.042
    changed: dict[str, CollectorStatus | None] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)

    def deployment(
        self, flow: str, name: str, *, pool: str = "default", scheduled: bool = True
    ) -> Labels:
        """Add a deployment and return its flow and name."""
        number = len(self.listed)
        row = Listed(
            id=UUID(int=5_000 + number),
            name=(clip(flow), clip(name)),
            work_pool=pool,
            work_queue="default",
            owners=(),
            objectives={},
            refused=(),
            paused=False,
            status="READY",
            limit=None,
            schedules=int(scheduled),
            timings=(Timing(cron="0 * * * *"),) if scheduled else (),
            created=None,
        )
        self.listed.append(row)
        return row.name

    def pool(self, name: str, *, online: int = 1, offline: int = 0, **fields: Any) -> None:  # noqa: ANN401 - the row's own fields
        """Add a work pool with workers; the offline ones were last heard an hour ago."""
        given = {"type": "process", "status": "READY", **fields}
        self.pools.append(WorkPool(name, **given))
        heard = [moment(NOW_US - 12 * SECOND)] * online + [moment(NOW_US - HOUR)] * offline
        states = ["ONLINE"] * online + ["OFFLINE"] * offline
        self.workers[name] = [
            Worker(name=f"w{number}", status=status, last_heartbeat_time=at)
            for number, (status, at) in enumerate(zip(states, heard, strict=True))
        ]

    def is_late(self, name: Labels, number: int, seconds: float, *, pool: str = "default") -> None:
        """Let runs of a deployment wait in a pool, the oldest for so long."""
        self.late[*name, clip(pool), "default"] = number, seconds

    def why(self, name: Labels, cause: Cause, mend: str = "") -> None:
        """Let the cause be known for which a deployment is late."""
        flow, deployment = name
        reason = Reason(cause, "evidence", (mend,) if mend else ())
        self.diagnoses.append(Diagnosis(Subject(flow, deployment), 1, NOW_US, (reason,)))

    def is_not_made(self, name: Labels, due_seconds: float = 600.0) -> None:
        """Let a deployment be due in so long, and Prefect hold no run that is to come."""
        self.scheduled = 0
        self.plans[name] = Plan(None, None, NOW.timestamp() + due_seconds)
        reason = Reason(Cause.SCHEDULER_BEHIND, "evidence", ("prefect server services start",))
        flow, deployment = name
        self.diagnoses.append(Diagnosis(Subject(flow, deployment), 0, None, (reason,)))

    def fails(self, name: Labels, times: int, *, succeeded: bool = True) -> None:
        """Let the last runs of a deployment fail, the last one two minutes ago."""
        failures = [
            End(NOW_US - (2 + number) * MINUTE, UUID(int=number), success=False)
            for number in range(times)
        ]
        good = [End(NOW_US - 2 * HOUR, UUID(int=999), success=True)] if succeeded else []
        self.streaks[name] = Streak(tuple(sorted([*good, *failures])), whole=True)

    def failed(self, name: Labels, message: str, *, number: int = 1, ago: int = 1) -> None:
        """Let a group of so many runs have failed alike, the last one so many minutes ago."""
        flow, deployment = name
        place = len(self.groups) + 1
        kind, colon, pattern = message.partition(": ")
        said = (kind, pattern) if colon else ("", message)
        signature = Signature(f"m1-{place:016x}", "upstream", *said, Basis.MESSAGE)
        run = UUID(int=place)
        failed = Failed(
            run.bytes,
            f"amber-fox-{place}",
            flow,
            deployment,
            "FAILED",
            "Failed",
            message,
            NOW_US - ago * MINUTE,
        )
        self.recent.append(Recent(failed, signature))
        self.groups.append(
            Group(
                signature,
                number,
                NOW_US - HOUR,
                failed.ended_us,
                {f"{flow}/{deployment}": number},
                (run.bytes,),
            )
        )

    def change(self, collector: str, **changes: Any) -> None:  # noqa: ANN401 - the status' own fields
        """Let the polls of a collector go another way."""
        self.changed[collector] = works(collector, **changes)

    def off(self, collector: str) -> None:
        """Let a collector be switched off."""
        self.changed[collector] = None

    def starts(self, *collectors: str) -> None:
        """Let collectors never have learnt anything, and be at their first poll."""
        for each in collectors:
            self.unread.add(each)
            self.change(each, polls=0, succeeded=None, last_success=None, fresh=False)

    def readings(self) -> Readings:
        """Return what the collectors make of it."""
        states = self._states()
        statuses = {name: self.changed.get(name, works(name)) for name in states}
        collectors = {
            name: Reading(None if name in self.unread else state, replace(status, target=self.name))
            for name, state in states.items()
            if (status := statuses[name]) is not None
        }
        return Readings(
            self.name,
            self.url,
            ui_links(self.url),
            NOW_US,
            collectors,
            self.latency_seconds,
            self.rate,
        )

    def _states(self) -> Mapping[str, Any]:
        names = {row.name: (row.name,) for row in self.pools}
        served: Mapping[Labels, Sequence[Worker]] = {
            names[pool]: rows for pool, rows in self.workers.items()
        }
        pools = WorkPools([(names[row.name], row) for row in self.pools], False, 0)  # noqa: FBT003 - short
        return {
            "flow_runs": SimpleNamespace(truncated=False, folded=0),
            "task_runs": SimpleNamespace(truncated=False, folded=0),
            "server": self.server,
            "flow_runs_late": LateFlowRuns(
                *_split(self.late), scheduled=self.scheduled, truncated=False
            ),
            "flow_runs_active": ActiveFlowRuns(*_split(self.active), truncated=False),
            "heartbeats": Heartbeats(self.silent, {}, truncated=False, folded=0),
            "work_pools": pools,
            "workers": Workers(served, (), truncated=False, folded=0),
            "deployments": Deployments(
                len(self.listed), truncated=False, listed=tuple(self.listed)
            ),
            "deployment_history": DeploymentHistory(self.streaks, truncated=False),
            "late_causes": LateCauses(tuple(self.diagnoses), {}, truncated=False),
            "deployment_schedules": DeploymentSchedules(self.plans, idle=self.idle),
            "failure_groups": SimpleNamespace(
                groups=tuple(self.groups), recent=tuple(self.recent), truncated=False
            ),
        }


def _split(
    runs: Mapping[Labels, tuple[int, float]],
) -> tuple[Mapping[Labels, int], Mapping[Labels, float]]:
    number = {labels: count for labels, (count, _) in runs.items()}
    return number, {labels: seconds for labels, (_, seconds) in runs.items()}


def usual() -> World:
    """Return a workspace as most are: all is well, but for one failure a while ago."""
    world = World()
    for name in ("hourly", "nightly", "eu", "us"):
        world.deployment("load-orders", name)
    world.deployment("train-model", "weekly", pool="gpu")
    crm = world.deployment("sync-crm", "every-15-min", pool="k8s")
    world.fails(crm, 1)
    world.pool("default", online=2, concurrency_limit=10, active_slots=3)
    world.pool("gpu", online=1, type="docker")
    world.pool("k8s", online=1, type="kubernetes", concurrency_limit=40, active_slots=12)
    world.failed(crm, "ConnectError: crm.example.com refused the connection", number=1)
    world.rate = _hour(completed=6.0, failed=0.0)
    return world


def troubled() -> World:
    """Return a workspace in which a good deal is wrong at once."""
    world = usual()
    world.pool("reports", online=0, offline=2, type="process")
    late = world.deployment("daily-report", "finance", pool="reports")
    world.is_late(late, 7, 1_560.0, pool="reports")
    world.why(late, Cause.NO_WORKER, "prefect worker start --pool reports")
    slow = world.deployment("load-orders", "backfill")
    world.is_late(slow, 2, 340.0)
    world.why(slow, Cause.POOL_LIMIT_FULL, "prefect work-pool set-concurrency-limit default 20")
    world.active["train-model", "weekly", "PENDING", ""] = 1, 2_400.0
    world.silent["load-orders", "eu"] = 1.0
    for flow, name, times in (
        ("score", "live", 20),
        ("ads", "daily", 4),
        ("dbt", "hourly", 3),
    ):
        world.fails(world.deployment(flow, name), times, succeeded=flow != "score")
    world.failed(("score", "live"), "TimeoutError: feature store did not answer in 30 s", number=41)
    world.failed(("dbt", "hourly"), "DbtError: 3 of 212 models failed", number=6, ago=14)
    world.failed(("ads", "daily"), "HTTPStatusError: 503 from ads.example.com", number=4, ago=95)
    world.rate = _hour(completed=5.0, failed=2.0)
    return world


def crowded(deployments: int = 1_000) -> World:
    """Return a workspace of many deployments, all of them late and failing."""
    world = World()
    for number in range(deployments):
        name = world.deployment(f"flow-{number % 50}", f"deployment-{number}")
        world.is_late(name, 1 + number % 3, 60.0 + number)
        world.fails(name, 1 + number % 20)
        world.pool(f"pool-{number}", online=number % 3, offline=1)
    for number in range(20):
        world.failed((f"flow-{number}", "deployment"), "x" * 1_024, number=number)
    world.rate = _hour(completed=500.0, failed=80.0)
    return world


def _hour(completed: float, failed: float) -> Rate:
    waves = [0.6, 0.9, 1.4, 1.1, 0.8, 1.0, 1.7, 1.2, 0.7, 0.9]
    return Rate(
        tuple(round(completed * wave) * 1.0 for wave in waves * 6),
        tuple(round(failed * wave * wave) * 1.0 for wave in (waves[3:] + waves[:3]) * 6),
    )
