"""Which failures there are, of which kind, and whether one is the same again."""

from __future__ import annotations

from grafana_foundation_sdk.builders import logs, stat, table, timeseries

from dashboards import failures, links, palette, panels, runs, tables, variables
from dashboards.board import Board, Row
from dashboards.sources import (
    FAILED,
    LOKI,
    OF_DEPLOYMENT,
    OF_FLOW,
    OF_RUNS,
    OWNER,
    counted_lines,
    each_interval,
    instant,
    lines,
    of_team,
    ranged,
    within_range,
)

_ENDS = {"Failed": "failed", "Timed out": "timed_out", "Crashed": "crashed"}
_NARROWED = '| prefect_error_fingerprint=~"$fingerprint" | prefect_error_category=~"$category"'
_LEVELS = "warn|error|critical|fatal"


def board() -> Board:
    """Return the board that sorts failures."""
    return Board(
        uid="prefect-errors",
        title="Errors",
        description="Which failures there are, whose they are, and whether one is the same again.",
        chosen=[
            variables.flow(),
            variables.deployment(),
            variables.category(),
            variables.fingerprint(),
        ],
        rows=[
            Row(
                "",
                [
                    failures.number("last hour", runs.last_hour("failed", OF_DEPLOYMENT)),
                    failures.number("last 24 hours", runs.last_day("failed", OF_DEPLOYMENT)),
                    _share(),
                    _failing(),
                ],
            ),
            Row("Which runs", [_outcomes(), _flows()]),
            Row(
                "Why",
                [
                    _groups(),
                    failures.by_fingerprint(_NARROWED),
                    failures.categories(_NARROWED),
                    _attempts(),
                ],
            ),
            Row("What they say", [_levels(), _tasks(), _lines()]),
        ],
    )


def _share() -> stat.Panel:
    failed, finished = (runs.last_day(what, OF_DEPLOYMENT) for what in ("failed", "finished"))
    return (
        panels.stat_panel(
            "Failure ratio, last 24 hours",
            "Share of flow runs that failed, timed out or crashed of those that ended, cancelled"
            " ones left out.",
            panels.RATIO,
        )
        .with_target(instant(f"sum({failed}) / (sum({finished}) > 0)"))
        .decimals(1)
        .thresholds(palette.rising(0.01, 0.05))
    )


def _failing() -> stat.Panel:
    failing = runs.gauge("prefect_deployment_consecutive_failures")
    return (
        panels.stat_panel(
            "Deployments failing now",
            "Deployments whose last run failed, timed out or crashed.",
            panels.COUNT,
        )
        .with_target(instant(f"count({failing} > 0) or count({failing}) * 0"))
        .thresholds(palette.rising(1, 5))
    )


def _outcomes() -> timeseries.Panel:
    panel = panels.bars(
        "Failed flow runs by outcome",
        "Flow runs that failed, timed out or crashed in the time of each bar, as Prefect tells it:"
        " also those whose process was killed. A run that was traced has a point that opens its"
        " trace.",
    ).with_target(
        ranged(runs.by_outcome(f"{OF_DEPLOYMENT}, {FAILED}"), "{{outcome}}", exemplars=True)
    )
    return panels.colored(panel, palette.OUTCOMES)


def _flows() -> table.Panel:
    failed = f"{runs.within_range('failed|timed_out|crashed')} > 0"
    values = [
        tables.Value(name, f"{runs.within_range(outcome)} and on ({runs.BY}) {failed}", width=75)
        for name, outcome in _ENDS.items()
    ]
    return (
        tables.table_panel(
            "Failed flow runs by deployment",
            "Flow runs that ended so in the chosen time range, of deployments that had any.",
            runs.columns(),
            values,
        )
        .span(12)
        .height(8)
    )


def _groups() -> table.Panel:
    """Show what Prefect itself tells, also of runs that are not instrumented or were killed."""
    return (
        tables.table_panel(
            "Failure groups",
            "Flow runs that failed alike within the exporter's failure window, by default 24 hours,"
            " whatever time range is chosen. /api/failures of the exporter tells the message, the"
            " trend and example runs of each id; behind f1- stands the fingerprint. What is beyond"
            " the limit of names is one row, other.",
            [
                tables.Label("target", "Target", width=90),
                tables.Label("category", "Category", width=120),
                tables.Label(
                    "flow",
                    "Flow",
                    links.to_board("Failures of this flow", "prefect-errors", {"flow": "flow"}),
                ),
                tables.Label("id", "Id", width=200),
            ],
            [
                tables.Value("Failures", _of_group("flow_runs")),
                tables.Value("First seen", _seen("first"), panels.TIMESTAMP, width=130),
                tables.Value("Last seen", _seen("last"), panels.TIMESTAMP, width=130),
            ],
        )
        .no_value("no failures")
        .span(24)
    )


def _seen(which: str) -> str:
    return f"{_of_group(f'{which}_seen_timestamp_seconds')} * 1000"


def _of_group(what: str) -> str:
    chosen = f'{OF_FLOW}, category=~"$category", id=~"(f1-)?($fingerprint)"'
    by = "target, id, category, flow"
    return of_team(f"max by ({by}) (prefect_failure_group_{what}{{{chosen}}})")


def _attempts() -> timeseries.Panel:
    errors = (
        f'prefect_sdk_errors_total{{{OF_RUNS}, category=~"$category", fingerprint=~"$fingerprint"}}'
    )
    chosen = f'on (flow, deployment) {OWNER}{{target=~"$target", team=~"$team"}}'
    each = f"{each_interval(errors)} and {chosen}"
    panel = panels.bars(
        "Attempts that raised, by category",
        "Attempts of flow and task runs that raised in the time of each bar, as their processes"
        " counted them: also those that a retry made good. The very first of a kind is not seen."
        " Points open their traces.",
    ).with_target(ranged(f"sum by (category) ({each})", "{{category}}", exemplars=True))
    return panels.colored(panel, palette.CATEGORIES)


def _levels() -> timeseries.Panel:
    counted = f'count_over_time({failures.LINES} | detected_level=~"{_LEVELS}" [$__interval])'
    panel = panels.bars(
        "Log lines by level",
        "Lines of warnings and errors in the time of each bar, of the chosen flows' runs. Lines"
        " know no target and no team.",
    ).with_target(counted_lines(f"sum by (detected_level) ({counted})", "{{detected_level}}"))
    return panels.colored(
        panel.datasource(LOKI), {"warn": palette.ORANGE, "error": palette.VERMILION}
    )


def _tasks() -> table.Panel:
    by = "target, flow, task"
    ended = f"prefect_task_runs_finished_total{{{OF_FLOW}, {FAILED}}}"
    failed = of_team(f"sum by ({by}) ({within_range(ended, f'{by}, outcome')})")
    retried = of_team(within_range(f"prefect_task_run_retries_total{{{OF_FLOW}}}", by))
    troubled = f"and on ({by}) ({failed} > 0 or {retried} > 0)"
    return (
        tables.table_panel(
            "Tasks that failed or were retried",
            "Task runs that ended in the chosen time range as failed, timed out or crashed, each"
            " once; and starts beyond the first.",
            [
                tables.Label("target", "Target", width=90),
                tables.Label("flow", "Flow"),
                tables.Label("task", "Task"),
            ],
            [
                tables.Value("Failures", f"({failed} or {retried} * 0) {troubled}"),
                tables.Value("Retries", f"{retried} {troubled}"),
            ],
        )
        .no_value("none")
        .span(12)
        .height(8)
    )


def _lines() -> logs.Panel:
    return panels.log_lines(
        "Newest lines of warnings and errors",
        "Of the chosen flows, categories and fingerprints. Open a line for its run, its trace and"
        " all of its fields.",
    ).with_target(lines(f'{failures.LINES} {_NARROWED} | detected_level=~"{_LEVELS}"'))
