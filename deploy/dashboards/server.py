"""The Prefect server, its proxy, PostgreSQL and Redis, and the machine that they run on."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import BigValueTextMode

from dashboards import host, palette, panels, postgres, proxy, redis, tables
from dashboards.board import Board, Row
from dashboards.sources import OF_TARGET, each_interval, instant, ranged

_ASKED = f"prefect_server_api_request_duration_seconds_bucket{{{OF_TARGET}}}"
_SLOW = palette.rising(0.5, 2)
_ACTIONS = {"executed": palette.GOOD, "failed": palette.BAD}


def board() -> Board:
    """Return the board of all that Prefect itself needs."""
    return Board(
        uid="prefect-server",
        title="Server and database",
        description="Whether Prefect itself is well: API, proxy, PostgreSQL, Redis, machine.",
        rows=[
            Row("", [_up(), _replicas(), _version(), _latency_now()]),
            Row("", [_lag_now(), _orphaned(), postgres.full(), redis.full()]),
            Row("Prefect server", [_state(), _latency(), _slowest(), _cpu(), _memory()]),
            Row("Events and automations", [_lag(), _events(), _actions(), _automations()]),
            proxy.row(),
            postgres.row(),
            redis.row(),
            host.row(),
        ],
    )


def _up() -> stat.Panel:
    words = {"1": ("ready", palette.GOOD), "0": ("DOWN", palette.BAD)}
    up, ready = (f"min(prefect_server_{what}{{{OF_TARGET}}})" for what in ("up", "ready"))
    return (
        panels.stat_panel(
            "Prefect server",
            "Whether the API answers the exporter, and says that it reaches its database, of the"
            " worst of the chosen targets. No data: the exporter does not say.",
            panels.COUNT,
        )
        .with_target(instant(f"{up} * ({ready} or {up})"))
        .mappings([panels.mapping(words)])
        .thresholds(palette.falling(1, 1))
    )


def _replicas() -> stat.Panel:
    return (
        panels.stat_panel(
            "Replicas in use",
            "Replicas of the API that the proxy finds ready. With one, a restart is an outage.",
            panels.COUNT,
        )
        .with_target(instant(f"min(target:prefect_server_replicas:active{{{OF_TARGET}}})"))
        .thresholds(palette.falling(1, 2))
    )


def _version() -> stat.Panel:
    return (
        panels.stat_panel(
            "Version",
            "The version that the server tells of itself; several while replicas are exchanged,"
            " or with several targets.",
            panels.COUNT,
        )
        .with_target(
            instant(f"max by (version) (prefect_server_info{{{OF_TARGET}}})", "{{version}}")
        )
        .text_mode(BigValueTextMode.NAME)
    )


def _latency_now() -> stat.Panel:
    return (
        panels.stat_panel(
            "API time, p95",
            "95 % of the exporter's requests of the last five minutes were answered faster.",
            panels.SECONDS,
        )
        .with_target(instant(f"histogram_quantile(0.95, sum by (le) (rate({_ASKED}[5m])))"))
        .thresholds(_SLOW)
    )


def _lag_now() -> stat.Panel:
    return (
        panels.stat_panel(
            "Events behind",
            "How far the newest stored event is behind the newest end of a flow run. Above two"
            " minutes, what shows task runs and fires automations is late.",
            panels.SECONDS,
        )
        .with_target(instant(f"max(prefect_server_events_lag_seconds{{{OF_TARGET}}})"))
        .thresholds(palette.rising(30, 120))
    )


def _orphaned() -> stat.Panel:
    return (
        panels.stat_panel(
            "Orphaned task runs",
            "Task runs that are running for Prefect although their flow run ended more than five"
            " minutes ago. They hold slots of their tags' limits until somebody ends them.",
            panels.COUNT,
        )
        .with_target(instant(f"sum(prefect_task_runs_active_in_finished_flow_runs{{{OF_TARGET}}})"))
        .thresholds(palette.rising(1, 10))
    )


def _state() -> statetimeline.Panel:
    words = {"1": ("up", palette.GOOD), "0": ("DOWN", palette.BAD)}
    probe = f'probe_success{{job="prefect-api-probe", {OF_TARGET}}}'
    return (
        panels.timeline(
            "Up and ready",
            "Health as a client sees it, then the API, its database and each replica as Prometheus"
            " and the exporter see them. A gap: nobody said.",
            words,
        )
        .with_target(ranged(probe, "{{target}} from outside"))
        .with_target(ranged(f"prefect_server_up{{{OF_TARGET}}}", "{{target}} API"))
        .with_target(ranged(f"prefect_server_ready{{{OF_TARGET}}}", "{{target}} database"))
        .with_target(ranged(f'up{{job="prefect-server", {OF_TARGET}}}', "{{instance}}"))
    )


def _latency() -> timeseries.Panel:
    panel = panels.graph(
        "API time",
        "How long Prefect took to answer the exporter's requests, all routes together.",
        panels.SECONDS,
    )
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        quantile = f"histogram_quantile({share}, sum by (le) (rate({_ASKED}[$__rate_interval])))"
        panel.with_target(ranged(quantile, name))
    return panels.colored(panel, palette.QUANTILES)


def _slowest() -> bargauge.Panel:
    rate = f"sum by (le, route) (rate({_ASKED}[$__range]))"
    return (
        panels.ranking(
            "Slowest routes",
            "95th percentile of Prefect's answers to the exporter in the time range, by route of"
            " the API, the ten slowest.",
            panels.SECONDS,
        )
        .with_target(instant(f"topk(10, histogram_quantile(0.95, {rate}))", "{{route}}"))
        .thresholds(_SLOW)
    )


def _cpu() -> timeseries.Panel:
    used = f'process_cpu_seconds_total{{job="prefect-server", {OF_TARGET}}}'
    return panels.graph(
        "CPU of the replicas",
        "Cores that each replica of the API uses; one process uses little more than one.",
        panels.COUNT,
    ).with_target(ranged(f"rate({used}[$__rate_interval])", "{{instance}}"))


def _memory() -> timeseries.Panel:
    used = f'process_resident_memory_bytes{{job="prefect-server", {OF_TARGET}}}'
    return panels.graph(
        "Memory of the replicas",
        "Resident memory of each replica of the API. One that only grows is worth a restart.",
        panels.BYTES,
    ).with_target(ranged(used, "{{instance}}"))


def _lag() -> timeseries.Panel:
    return panels.graph(
        "Events behind, over time",
        "How far the newest stored event is behind the newest end of a flow run. A steady rise:"
        " the background services or Redis do not keep up.",
        panels.SECONDS,
    ).with_target(ranged(f"prefect_server_events_lag_seconds{{{OF_TARGET}}}", "{{target}}"))


def _events() -> bargauge.Panel:
    stored = f"sum by (event) (increase(prefect_events_total{{{OF_TARGET}}}[$__range]))"
    return panels.ranking(
        "Events by name",
        "Events that Prefect stored in the time range, the ten most frequent. What grows here"
        " grows the database.",
        panels.COUNT,
    ).with_target(instant(f"topk(10, {stored})", "{{event}}"))


def _actions() -> timeseries.Panel:
    actions = each_interval(f"prefect_automation_actions_total{{{OF_TARGET}}}")
    panel = panels.bars(
        "Actions of automations",
        "Actions that automations took in the time of each bar. Executed is Prefect's word: a"
        " webhook that answered with an error was executed too.",
    ).with_target(ranged(f"round(sum by (outcome) ({actions}))", "{{outcome}}"))
    return panels.colored(panel, _ACTIONS)


def _automations() -> table.Panel:
    words = {"1": ("yes", palette.GOOD), "0": ("no", palette.WARNING)}
    by = "target, automation"
    return (
        tables.table_panel(
            "Automations",
            "Each automation, and its actions in the last 24 hours.",
            [tables.Label("target", "Target", width=90), tables.Label("automation", "Automation")],
            [
                tables.Value("Failed", _acted("failed"), thresholds=palette.rising(1, 10)),
                tables.Value("Executed", _acted("executed")),
                tables.Value(
                    "Enabled",
                    f"max by ({by}) (prefect_automation_enabled{{{OF_TARGET}}})",
                    words=panels.mapping(words),
                ),
            ],
        )
        .span(12)
        .height(8)
    )


def _acted(outcome: str) -> str:
    acted = f'prefect_automation_actions_total{{{OF_TARGET}, outcome="{outcome}"}}'
    return f"round(sum by (target, automation) (increase({acted}[1d])))"
