"""Which alert silences which others: one cause is one message.

``equal`` takes two labels that are missing for equal ones, so a rule that compares a label also
asks that it is there. No warning silences a critical alert: the warning may wait for office hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def _named(*alerts: str) -> str:
    return f'alertname=~"{"|".join(alerts)}"'


def _but(*alerts: str) -> str:
    return f'alertname!~"{"|".join(alerts)}"'


# What is known of runs through the exporter alone: figures of the business come from elsewhere too.
_KNOWN = 'component=~"flows|schedules|work-pools|slo"'
# What follows when the server does not work.
_RUNS_AND_SERVER = 'component=~"flows|schedules|work-pools|slo|kpi|server"'
# A server may be down because of it.
_CAUSES = ("PrefectTlsCertificateExpires",)
_EXPORTERS = _named(
    "PrefectExporterStale",
    "PrefectExporterCollectorFailing",
    "PrefectExporterRateLimited",
    "PrefectExporterTruncated",
)
_NO_PAGE = 'severity!="critical"'
_LESSER = 'severity=~"warning|info"'
_TARGET = 'target=~".+"'
# Of runs without a deployment, `deployment` is empty.
_FLOW = 'flow=~".+"'
_POOL = 'work_pool=~".+"'
_LIMIT = 'limit=~".+"'
_BACKUP_KIND = 'kind=~".+"'
_LATE = _named("PrefectFlowRunsLate", "PrefectStartDelayHigh")
_OF_DEPLOYMENT = ("target", "flow", "deployment")
_OF_POOL = ("target", "work_pool")
_OF_QUEUE = ("target", "work_pool", "work_queue")


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While *source* fires, what matches *target* and has the same *equal* labels is not told."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


INHIBITIONS = (
    Inhibition(
        "server down: nothing runs",
        source=(_named("PrefectServerDown"), _TARGET),
        target=(_RUNS_AND_SERVER, _but("PrefectServerDown", *_CAUSES)),
        equal=("target",),
    ),
    Inhibition(
        "server not ready: nothing runs",
        source=(_named("PrefectServerNotReady"), _TARGET),
        target=(_RUNS_AND_SERVER, _but("PrefectServerDown", "PrefectServerNotReady", *_CAUSES)),
        equal=("target",),
    ),
    Inhibition(
        "database down: neither does the server",
        source=(_named("PrefectPostgresDown", "PrefectRedisDown"), _TARGET),
        target=(_RUNS_AND_SERVER, _but(*_CAUSES)),
        equal=("target",),
    ),
    Inhibition(
        "server or database down: the exporter hears nothing",
        source=(
            _named("PrefectServerDown", "PrefectServerNotReady", "PrefectPostgresDown"),
            _TARGET,
        ),
        target=(_EXPORTERS,),
        equal=("target",),
    ),
    Inhibition(
        "server or database down: so a backup of it fails",
        source=(
            _named("PrefectServerDown", "PrefectServerNotReady", "PrefectPostgresDown"),
            _TARGET,
        ),
        target=(_named("PrefectBackupFailed"), _NO_PAGE, 'kind=~"database|objects"'),
        equal=("target",),
    ),
    Inhibition(
        "exporter down or shut out: what is known of runs is old",
        source=(_named("PrefectExporterDown", "PrefectExporterUnauthorized"), _TARGET),
        target=(_KNOWN,),
        equal=("target",),
    ),
    Inhibition(
        "exporter down or shut out: so it has no answers",
        source=(_named("PrefectExporterDown", "PrefectExporterUnauthorized"), _TARGET),
        target=(_EXPORTERS,),
        equal=("target",),
    ),
    # An exporter that was never heard has no target: what Prometheus still knows is of any.
    Inhibition(
        "exporter gone: what is known of runs is old",
        source=(_named("PrefectExporterDown"), 'target=""'),
        target=(_KNOWN,),
    ),
    Inhibition(
        "a collector fails: so what it read grows old",
        source=(_named("PrefectExporterCollectorFailing"), 'collector=~".+"'),
        target=(_named("PrefectExporterStale"), _NO_PAGE),
        equal=("target", "collector"),
    ),
    Inhibition(
        "a disk is full: so it fills up",
        source=(_named("HostDiskFull"), 'device=~".+"'),
        target=(_named("PrefectDatabaseDiskFull4d"), 'device=~".+"'),
        equal=("instance", "device"),
    ),
    Inhibition(
        "critical over less, of one deployment or flow",
        source=('severity="critical"', _FLOW),
        target=(_LESSER, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "critical over less, of one work pool and its queues",
        source=('severity="critical"', _POOL, 'work_queue=""'),
        target=(_LESSER, _POOL),
        equal=_OF_POOL,
    ),
    Inhibition(
        "critical over less, of one work queue",
        source=('severity="critical"', _POOL, 'work_queue=~".+"'),
        target=(_LESSER, _POOL),
        equal=_OF_QUEUE,
    ),
    Inhibition(
        "critical over less, of one concurrency limit",
        source=('severity="critical"', _LIMIT),
        target=(_LESSER, _LIMIT),
        equal=("target", "kind", "limit"),
    ),
    Inhibition(
        "critical over less, of one kind of backup",
        source=('severity="critical"', 'component="backup"', _BACKUP_KIND),
        target=(_LESSER, 'component="backup"', _BACKUP_KIND),
        equal=("target", "kind"),
    ),
    Inhibition(
        "no workers: what is due in the pool waits",
        source=(_named("PrefectWorkPoolNoWorkers"), _POOL),
        target=(
            _named(
                "PrefectFlowRunsLate",
                "PrefectFlowRunStuckPending",
                "PrefectStartDelayHigh",
                "PrefectWorkQueueNotPolled",
                "PrefectWorkerHeartbeatStale",
                "PrefectWorkPoolUnattended",
                "PrefectWorkPoolSaturated",
            ),
            _POOL,
        ),
        equal=_OF_POOL,
    ),
    Inhibition(
        "late runs: they start late",
        source=(_named("PrefectFlowRunsLate"), _POOL),
        target=(_named("PrefectStartDelayHigh"), _NO_PAGE, _POOL),
        equal=_OF_QUEUE,
    ),
    Inhibition(
        "a pool is full: so runs are late",
        source=(_named("PrefectWorkPoolSaturated"), _POOL, 'work_queue=""'),
        target=(_LATE, _NO_PAGE, _POOL),
        equal=_OF_POOL,
    ),
    Inhibition(
        "a queue is full: so runs are late",
        source=(_named("PrefectWorkPoolSaturated"), _POOL, 'work_queue=~".+"'),
        target=(_LATE, _NO_PAGE, _POOL),
        equal=_OF_QUEUE,
    ),
    Inhibition(
        "no new runs are made: deployments grow stale",
        source=(_named("PrefectSchedulerStalled"), _TARGET),
        target=(_named("PrefectDeploymentStale", "PrefectFlowRunsLate"),),
        equal=("target",),
    ),
    Inhibition(
        "fails again and again: so its share of failures is high",
        source=(_named("PrefectDeploymentConsecutiveFailures"), _FLOW),
        target=(
            _named("PrefectDeploymentFailureRatioHigh", "PrefectFlowRunFailed"),
            _NO_PAGE,
            _FLOW,
        ),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "fails often: so single runs fail",
        source=(_named("PrefectDeploymentFailureRatioHigh"), _FLOW),
        target=(_named("PrefectFlowRunFailed"), _NO_PAGE, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "does not get through: so it grows stale",
        source=(
            _named(
                "PrefectFlowRunStuckPending",
                "PrefectFlowRunAwaitingSlot",
                "PrefectFlowRunTooLong",
                "PrefectZombieFlowRuns",
                "PrefectDeploymentConsecutiveFailures",
                "PrefectDeploymentFailureRatioHigh",
                "PrefectScheduleLost",
            ),
            _FLOW,
        ),
        target=(_named("PrefectDeploymentStale", "PrefectDeploymentNotFresh"), _NO_PAGE, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "misses its own objective: so it misses the common one",
        source=(_named("PrefectDeploymentNotFresh"), _FLOW),
        target=(_named("PrefectDeploymentStale"), _NO_PAGE, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "burns its budget fast: so also slowly",
        source=(_named("PrefectErrorBudgetBurnFast"), _FLOW),
        target=(_named("PrefectErrorBudgetBurnSlow"), _NO_PAGE, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
    Inhibition(
        "died unseen: so it seems to run for long",
        source=(_named("PrefectZombieFlowRuns"), _FLOW),
        target=(_named("PrefectFlowRunTooLong"), _NO_PAGE, _FLOW),
        equal=_OF_DEPLOYMENT,
    ),
)


def inhibit_rules() -> list[dict[str, Any]]:
    """Return Alertmanager's list ``inhibit_rules``."""
    return [
        {
            "name": each.name,
            "source_matchers": list(each.source),
            "target_matchers": list(each.target),
            **({"equal": list(each.equal)} if each.equal else {}),
        }
        for each in INHIBITIONS
    ]
