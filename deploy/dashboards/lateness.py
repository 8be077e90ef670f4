"""Panels of flow runs that wait: how many, since when, and how long yet."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from dashboards import links, palette, panels, tables
from dashboards.sources import OF_TARGET, instant, owned, ranged, zero_filled

OF_POOL = f'{OF_TARGET}, work_pool=~"$work_pool"'
OF_QUEUE = f'{OF_POOL}, work_queue=~"$work_queue"'
QUEUE = "target, work_pool, work_queue"

BACKLOG = f"sum by ({QUEUE}) (prefect_work_queue_backlog{{{OF_QUEUE}}})"
LATE = f"prefect_flow_runs_late{{{OF_QUEUE}}}"
OLDEST = f"prefect_flow_run_oldest_late_seconds{{{OF_QUEUE}}}"
_STARTS = f"rate(prefect_flow_run_start_delay_seconds_count{{{OF_QUEUE}}}[30m])"
CLEARED = f"{BACKLOG} / (sum by ({QUEUE}) ({_STARTS}) > 0)"
"""Seconds until a queue's backlog has started, at the pace of the last half hour."""

SOME = palette.rising(1, 10)
WAIT = palette.rising(60, 900)
CLEARING = palette.rising(300, 1800)

_START_DELAY = "target_work_pool_work_queue:prefect_flow_run_start_delay_seconds"
_NAME = "{{work_pool}}/{{work_queue}}"


def late_now() -> stat.Panel:
    """Return how many runs are late."""
    late = owned(f"sum by (target, flow, deployment) ({LATE})")
    return (
        panels.stat_panel(
            "Late now",
            "Flow runs of the chosen pools, queues and teams that were due and have not started.",
            panels.COUNT,
        )
        .with_target(instant(zero_filled(f"sum({late})", "flow_runs_late")))
        .thresholds(SOME)
    )


def oldest_now() -> stat.Panel:
    """Return how late the latest run is."""
    oldest = owned(f"max by (target, flow, deployment) ({OLDEST})")
    return (
        panels.stat_panel(
            "Oldest late run",
            "How long ago the run was due that is late for longest; 0 s where none is late.",
            panels.SECONDS,
        )
        .with_target(instant(zero_filled(f"max({oldest})", "flow_runs_late")))
        .thresholds(WAIT)
    )


def delay_now() -> stat.Panel:
    """Return how long runs waited for their start."""
    return (
        panels.stat_panel(
            "Start delay, p95",
            "From when a run was due to its start: 95 % of the runs of the last half hour waited"
            " no longer, in the queue where they waited longest.",
            panels.SECONDS,
        )
        .with_target(instant(f"max({_START_DELAY}:p95_30m{{{OF_QUEUE}}})"))
        .thresholds(WAIT)
    )


def clearing_now() -> stat.Panel:
    """Return how long the slowest queue needs for its backlog."""
    return (
        panels.stat_panel(
            "Time to clear the backlog",
            "Forecast for the slowest queue: its runs that are due, at the pace of the last half"
            " hour's starts, if no more came. A queue that started none has no forecast.",
            panels.SECONDS,
        )
        .with_target(instant(f"max({CLEARED})"))
        .thresholds(CLEARING)
    )


def backlog() -> timeseries.Panel:
    """Return the backlogs, and where they lead."""
    trend = f"predict_linear(prefect_work_queue_backlog{{{OF_QUEUE}}}[1h], 3600)"
    expected = f"clamp_min(max by ({QUEUE}) ({trend}), 0)"
    return (
        panels.graph(
            "Backlog, and in an hour",
            "Runs that are due and have not started. The dashed lines are where the last hour's"
            " trend leads within one hour more: lines that rise mean too little room.",
            panels.COUNT,
        )
        .with_target(ranged(BACKLOG, _NAME))
        .with_target(ranged(expected, f"{_NAME} in an hour"))
        .override_by_regexp(
            "/ in an hour$/",
            [model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})],
        )
    )


def clearing() -> timeseries.Panel:
    """Return how long each queue needs for its backlog."""
    return panels.graph(
        "Time to clear the backlog, by queue",
        "Forecast: the backlog at the pace of the last half hour's starts, if no more came. No"
        " line: nothing was started.",
        panels.SECONDS,
    ).with_target(ranged(CLEARED, _NAME))


def late() -> timeseries.Panel:
    """Return how many runs of each queue are late."""
    asked = f'prefect_exporter_collector_success{{{OF_TARGET}, collector="flow_runs_late"}} == 1'
    none = f"0 * {BACKLOG} and on (target) ({asked})"
    return panels.graph(
        "Late runs",
        "Flow runs that were due longer ago than the exporter's tolerance and have not started.",
        panels.COUNT,
    ).with_target(ranged(f"sum by ({QUEUE}) ({LATE}) or {none}", _NAME))


def oldest() -> timeseries.Panel:
    """Return how late the latest run of each queue is."""
    return panels.graph(
        "Oldest late run, by queue",
        "How long ago the run was due that is late for longest. A line that rises with the clock:"
        " nothing is being started. No line: none is late.",
        panels.SECONDS,
    ).with_target(ranged(f"max by ({QUEUE}) ({OLDEST})", _NAME))


def delays() -> timeseries.Panel:
    """Return how long the runs of each queue waited for their start."""
    return (
        panels.graph(
            "Start delay",
            "From when a run was due to its start, of the runs that started in the half hour"
            " before: half of them, and 95 %, waited no longer.",
            panels.SECONDS,
        )
        .with_target(ranged(f"{_START_DELAY}:p50_30m{{{OF_QUEUE}}}", f"{_NAME} p50"))
        .with_target(ranged(f"{_START_DELAY}:p95_30m{{{OF_QUEUE}}}", f"{_NAME} p95"))
    )


def waiting() -> table.Panel:
    """Return the deployments that wait."""
    by = f"target, flow, deployment, {QUEUE.removeprefix('target, ')}"
    return (
        tables.table_panel(
            "Who waits",
            "Deployments with late runs, of the chosen teams.",
            [
                tables.Label("target", "Target", width=90),
                tables.Label("flow", "Flow", links.to_flow()),
                tables.Label("deployment", "Deployment", links.to_flow()),
                tables.Label("team", "Team", width=90),
                tables.Label("work_pool", "Work pool"),
                tables.Label("work_queue", "Work queue"),
            ],
            [
                tables.Value("Late", owned(f"sum by ({by}) ({LATE})"), thresholds=SOME),
                tables.Value("Oldest", owned(f"max by ({by}) ({OLDEST})"), panels.SECONDS, WAIT),
            ],
        )
        .no_value("nothing is late")
        .height(8)
    )


def causes() -> table.Panel:
    """Return why deployments wait."""
    number = "sum by (target, flow, deployment, cause) (prefect_flow_runs_late_by_cause{%s})"
    return (
        tables.table_panel(
            "Late runs by cause",
            "What has to be mended first, of the chosen teams' deployments in all work pools, asked"
            " once a minute. `prefect-exporter why-late` tells the evidence and the command that"
            " mends it. A task run that waits for a tag's slot is counted with its flow run.",
            [
                tables.Label("target", "Target", width=90),
                tables.Label("flow", "Flow", links.to_flow()),
                tables.Label("deployment", "Deployment", links.to_flow()),
                tables.Label("team", "Team", width=90),
                tables.Label("cause", "Cause"),
            ],
            [tables.Value("Late", owned(number % OF_TARGET), thresholds=SOME)],
        )
        .no_value("nothing is late")
        .height(8)
    )
