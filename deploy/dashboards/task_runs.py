"""Task runs: how they end, how long they take, and which are left behind."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries

from dashboards import links, palette, panels, tables, variables
from dashboards.board import Board, Row
from dashboards.sources import (
    FAILED,
    OF_FLOW,
    OF_TARGET,
    each_interval,
    instant,
    of_team,
    ranged,
    within_range,
)

_OF_TASK = f'{OF_FLOW}, task=~"$task"'
_CACHED = ', outcome="cached"'
_BY = "target, flow, task"
_RETRIES = of_team(within_range(f"prefect_task_run_retries_total{{{_OF_TASK}}}", _BY))


def board() -> Board:
    """Return the board of task runs."""
    return Board(
        uid="prefect-task-runs",
        title="Task runs",
        description="How task runs end, how long they take, and which are left behind.",
        chosen=[variables.flow(), variables.task()],
        rows=[
            Row("", [_ended(), _failures(), _cached(), _retries(), _active(), _orphaned()]),
            Row("Over time", [_outcomes(), _durations(), _retried(), _under_way()]),
            Row("By task", [_table()]),
        ],
    )


def _within_range(selector: str) -> str:
    counter = f"prefect_task_runs_finished_total{{{_OF_TASK}{selector}}}"
    return of_team(f"sum by ({_BY}) ({within_range(counter, f'{_BY}, outcome')})")


def _number_within_range(selector: str) -> str:
    """Return a number of all chosen tasks: 0 where tasks ran, but none of them so."""
    return f"sum({_within_range(selector)}) or sum({_within_range('')}) * 0"


def _each_within_range(selector: str) -> str:
    """Return such numbers for each task."""
    return f"{_within_range(selector)} or {_within_range('')} * 0"


def _number(title: str, description: str, expr: str) -> stat.Panel:
    return panels.stat_panel(title, description, panels.COUNT).with_target(instant(expr)).span(8)


def _ended() -> stat.Panel:
    return _number(
        "Task runs that ended",
        "Task runs that ended in the chosen time range, each once; subflows are not among them.",
        f"sum({_within_range('')})",
    )


def _failures() -> stat.Panel:
    return _number(
        "Failures",
        "Task runs that failed, timed out or crashed in the chosen time range, their retries used"
        " up.",
        _number_within_range(f", {FAILED}"),
    ).thresholds(palette.rising(1, 10))


def _cached() -> stat.Panel:
    cached = _number_within_range(_CACHED)
    return (
        panels.stat_panel(
            "Cached",
            "Share of the task runs that ended in the chosen time range whose result came from the"
            " cache.",
            panels.RATIO,
        )
        .with_target(instant(f"{cached} / (sum({_within_range('')}) > 0)"))
        .decimals(1)
        .span(8)
    )


def _retries() -> stat.Panel:
    return _number(
        "Retries",
        "Starts beyond the first of the task runs that ended in the chosen time range.",
        f"sum({_RETRIES})",
    )


def _active() -> stat.Panel:
    return _number(
        "Under way",
        "Task runs that have not ended, of all flows of the chosen targets.",
        f"sum(prefect_task_runs_active{{{OF_TARGET}}})",
    )


def _orphaned() -> stat.Panel:
    return _number(
        "Left behind",
        "Task runs that Prefect takes for running although their flow run ended more than five"
        " minutes ago. Nobody will end them, and they hold slots of limits.",
        f"sum(prefect_task_runs_active_in_finished_flow_runs{{{OF_TARGET}}})",
    ).thresholds(palette.rising(1, 10))


def _outcomes() -> timeseries.Panel:
    each = each_interval(f"prefect_task_runs_finished_total{{{_OF_TASK}}}")
    ended = of_team(f"sum by (target, flow, outcome) ({each})")
    panel = panels.bars(
        "Task runs by outcome",
        "Task runs that ended in the time of each bar, each once; the legend has the sum of what"
        " is shown.",
    ).with_target(ranged(f"sum by (outcome) ({ended})", "{{outcome}}"))
    return panels.colored(panel, palette.OUTCOMES)


def _quantile(share: float, window: str) -> str:
    buckets = f'prefect_task_run_duration_seconds_bucket{{{_OF_TASK}, outcome="success"}}'
    rate = of_team(f"sum by ({_BY}, le) (rate({buckets}[{window}]))")
    return f"histogram_quantile({share}, {rate})"


def _durations() -> bargauge.Panel:
    return panels.ranking(
        "Slowest tasks",
        "95th percentile of the running time of task runs that completed in the chosen time range,"
        " of the ten tasks where it is highest.",
        panels.SECONDS,
    ).with_target(
        instant(f"sort_desc(topk(10, {_quantile(0.95, '$__range')} >= 0))", "{{flow}}/{{task}}")
    )


def _retried() -> timeseries.Panel:
    each = each_interval(f"prefect_task_run_retries_total{{{_OF_TASK}}}")
    panel = panels.bars(
        "Retries over time",
        "Starts beyond the first of task runs that ended in the time of each bar.",
    ).with_target(ranged(f"sum({of_team(f'sum by (target, flow) ({each})')})", "retries"))
    return panels.colored(panel, {"retries": palette.ORANGE})


def _under_way() -> timeseries.Panel:
    active = f"sum by (state_type) (prefect_task_runs_active{{{OF_TARGET}}})"
    orphaned = f"sum(prefect_task_runs_active_in_finished_flow_runs{{{OF_TARGET}}})"
    graph = (
        panels.graph(
            "Task runs under way",
            "Task runs that have not ended, by the type of their state, of all flows of the chosen"
            " targets; and those of them that are left behind by a flow run that has ended.",
            panels.COUNT,
        )
        .with_target(ranged(active, "{{state_type}}"))
        .with_target(ranged(orphaned, "left behind"))
    )
    return panels.colored_like(graph, {**palette.STATES, "^left behind$": palette.VERMILION})


def _table() -> table.Panel:
    flow = links.to_board("One flow", "prefect-flow", {"target": "target", "flow": "flow"})
    return tables.table_panel(
        "Tasks",
        "One row for each task that the exporter knows. All numbers are of the chosen time range;"
        " durations are of task runs that completed, and no data where none did.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label("flow", "Flow", flow),
            tables.Label("task", "Task"),
        ],
        [
            tables.Value("Runs", f"{_within_range('')}"),
            tables.Value(
                "Failures",
                _each_within_range(f", {FAILED}"),
                thresholds=palette.rising(1, 10),
            ),
            tables.Value("Retries", _RETRIES),
            tables.Value("Cached", _each_within_range(_CACHED)),
            tables.Value("p50", f"{_quantile(0.5, '$__range')} >= 0", panels.SECONDS),
            tables.Value("p95", f"{_quantile(0.95, '$__range')} >= 0", panels.SECONDS),
        ],
    ).height(12)
