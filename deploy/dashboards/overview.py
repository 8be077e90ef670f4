"""Is it all right, what is not, and since when: one screen."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

from dashboards import failures, links, palette, panels, runs, tables
from dashboards.board import Board, Row
from dashboards.sources import OF_TARGET, instant, owned, ranged, zero_filled

_UP = {"1": ("up", palette.GOOD), "0": ("DOWN", palette.BAD)}
_READY = {"1": ("ready", palette.GOOD), "0": ("NOT READY", palette.BAD)}
_POOLS = links.panel_link("Work pools", "prefect-work-pools")
_ERRORS = links.panel_link("Errors", "prefect-errors")
_DEPLOYMENTS = links.panel_link("Flows and deployments", "prefect-deployments")


def board() -> Board:
    """Return the board on which everybody begins."""
    return Board(
        uid="prefect-overview",
        title="Overview",
        description="Is it all right, what is not, and since when.",
        rows=[
            Row("", [panel.height(3) for panel in _numbers()]),
            Row("", [_alerts().height(6)]),
            Row("", [_outcomes().height(6), _failing().height(6)]),
            Row("", [_server().span(12), _slow().height(6)]),
        ],
    )


def _numbers() -> list[stat.Panel]:
    return [
        _ready(),
        _age(),
        _late(),
        _oldest_late(),
        failures.number("last hour", runs.last_hour("failed")).links([_ERRORS]),
        failures.number("last 24 hours", runs.last_day("failed")).links([_ERRORS]),
        _success(),
        _workers(),
    ]


def _ready() -> stat.Panel:
    return (
        panels.stat_panel(
            "Prefect server",
            "Whether Prefect says that it works and reaches its database; where it has no route to"
            " say so, whether its API answers. Of several targets the worst.",
            panels.COUNT,
        )
        .with_target(
            instant(
                f"min(prefect_server_ready{{{OF_TARGET}}}"
                f" or on (target) prefect_server_up{{{OF_TARGET}}})"
            )
        )
        .mappings([panels.mapping(_READY)])
        .links([links.panel_link("Prefect server", "prefect-server")])
    )


def _age() -> stat.Panel:
    return (
        panels.stat_panel(
            "Age of the data",
            "How long ago the exporter last read flow runs, of several targets the oldest. Above"
            " three minutes the other numbers here are old too.",
            panels.SECONDS,
        )
        .with_target(
            instant(
                "time() - min(prefect_exporter_collector_last_success_timestamp_seconds"
                f'{{{OF_TARGET}, collector="flow_runs"}})'
            )
        )
        .thresholds(palette.rising(60, 180))
        .links([links.panel_link("Telemetry", "prefect-telemetry")])
    )


def _late() -> stat.Panel:
    late = owned(f"sum by ({runs.BY}) (prefect_flow_runs_late{{{OF_TARGET}}})")
    return (
        panels.stat_panel(
            "Late now",
            "Flow runs that were due and have not started. The board of work pools says where they"
            " wait.",
            panels.COUNT,
        )
        .with_target(instant(zero_filled(f"sum({late})", "flow_runs_late")))
        .thresholds(palette.rising(1, 10))
        .links([_POOLS])
    )


def _oldest_late() -> stat.Panel:
    late = runs.gauge("prefect_flow_run_oldest_late_seconds", OF_TARGET)
    return (
        panels.stat_panel(
            "Oldest late run",
            "How long ago the run was due that has been late for longest; 0 where none is.",
            panels.SECONDS,
        )
        .with_target(instant(zero_filled(f"max({late})", "flow_runs_late")))
        .thresholds(palette.rising(60, 900))
        .links([_POOLS])
    )


def _success() -> stat.Panel:
    objective = owned(f"target_flow_deployment:prefect_slo_objective:success{{{OF_TARGET}}}")
    failed, finished = runs.last_day("failed"), runs.last_day("finished")
    return (
        panels.stat_panel(
            "Success and objective, 24 hours",
            "Share of flow runs that completed of those that ended, cancelled ones left out; and"
            " the mean of the objectives of the deployments that have one.",
            panels.RATIO,
        )
        .with_target(instant(f"1 - sum({failed}) / (sum({finished}) > 0)", "success"))
        .with_target(instant(f"avg({objective})", "objective"))
        .decimals(1)
        .thresholds(palette.falling(0.95, 0.99))
        .override_by_name("objective", [panels.fixed(palette.UNKNOWN)])
        .links([_DEPLOYMENTS])
    )


def _workers() -> stat.Panel:
    return (
        panels.stat_panel(
            "Workers online",
            "Workers of all work pools that Prefect calls online.",
            panels.COUNT,
        )
        .with_target(instant(f'sum(prefect_workers{{{OF_TARGET}, status="ONLINE"}})'))
        .thresholds(palette.falling(1, 1))
        .links([_POOLS])
    )


def _alerts() -> table.Panel:
    # What concerns no target or no deployment's owner concerns everybody.
    chosen = 'severity!="none", target=~"$target|", team=~"$team|platform"'
    firing = f'ALERTS{{alertstate="firing", {chosen}}}'
    by = "severity, alertname, team, target, flow, deployment, work_pool"
    since = f"min by ({by}) (ALERTS_FOR_STATE{{{chosen}}} and ignoring (alertstate) {firing})"
    return tables.table_panel(
        "Firing alerts",
        "What fires now, and since when its condition has held. Alerts of the platform are"
        " shown whichever team is chosen. Click on a flow for its board.",
        [
            tables.Label("severity", "Severity", width=100),
            tables.Label("alertname", "Alert"),
            tables.Label("team", "Team", width=90),
            tables.Label("target", "Target", width=90),
            tables.Label("flow", "Flow", links.to_flow()),
            tables.Label("deployment", "Deployment", links.to_flow()),
            tables.Label("work_pool", "Work pool"),
        ],
        [tables.Value("Since", f"{since} * 1000", panels.TIMESTAMP, width=150)],
    ).no_value("nothing fires")


def _failing() -> table.Panel:
    failed = f"round({runs.last_day('failed')}) > 0"
    return (
        tables.table_panel(
            "Most failures, last 24 hours",
            "The ten deployments with the most flow runs that failed, timed out or crashed.",
            runs.columns(),
            [tables.Value("Failures", f"topk(10, {failed})", thresholds=palette.rising(1, 10))],
        )
        .no_value("no failures")
        .links([_DEPLOYMENTS])
        .span(12)
    )


def _slow() -> table.Panel:
    # Without what has no deployment: among it are subflows in the process of their parent.
    selector = f'{OF_TARGET}, deployment!=""'
    p95 = owned(f"target_flow_deployment:prefect_flow_run_duration_seconds:p95_1d{{{selector}}}")
    return (
        tables.table_panel(
            "Slowest, last 24 hours",
            "The ten deployments whose flow runs took longest: 95th percentile of those that"
            " succeeded.",
            runs.columns(),
            [tables.Value("p95", f"topk(10, {p95})", panels.SECONDS)],
        )
        .no_value("no run that succeeded")
        .links([_DEPLOYMENTS])
        .span(12)
    )


def _outcomes() -> timeseries.Panel:
    panel = panels.bars(
        "Flow runs by outcome",
        "Flow runs that ended in the time of each bar, each once; the legend has the sum of what"
        " is shown. Subflows in the process of their parent are left out.",
    ).with_target(ranged(runs.by_outcome(OF_TARGET), "{{outcome}}"))
    return panels.colored(panel, palette.OUTCOMES)


def _server() -> statetimeline.Panel:
    return (
        panels.timeline(
            "Prefect server over time",
            "Whether the API answered, and whether it said that it reaches its database. A gap"
            " means that the exporter did not say.",
            _UP,
        )
        .with_target(
            ranged(f"max by (target) (prefect_server_up{{{OF_TARGET}}})", "{{target}}: API")
        )
        .with_target(
            ranged(f"max by (target) (prefect_server_ready{{{OF_TARGET}}})", "{{target}}: database")
        )
    )
