"""Every deployment in a row: whose it is, how it does, and what it promised."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, table, timeseries

from dashboards import palette, panels, runs, tables, variables
from dashboards.board import Board, Row
from dashboards.sources import OF_DEPLOYMENT, instant, owned, ranged

_PAUSED = {"0": ("no", palette.UNKNOWN), "1": ("PAUSED", palette.WARNING)}
_FAILING = runs.gauge("prefect_deployment_consecutive_failures")
_DUE = runs.gauge("prefect_deployment_previous_expected_run_timestamp_seconds")
_SUCCESS = runs.gauge("prefect_deployment_last_success_timestamp_seconds")
_OBJECTIVE = owned(f"target_flow_deployment:prefect_slo_objective:success{{{OF_DEPLOYMENT}}}")
_BUDGET = owned(
    f"target_flow_deployment:prefect_slo_error_budget:remaining_ratio30d{{{OF_DEPLOYMENT}}}"
)


def board() -> Board:
    """Return the board that compares deployments."""
    return Board(
        uid="prefect-deployments",
        title="Flows and deployments",
        description="Which deployments fail, are overdue or have overspent their error budget, and"
        " whose they are.",
        chosen=[variables.flow(), variables.deployment()],
        rows=[
            Row("", [_deployments(), _failing(), _overdue(), _overspent()]),
            Row("", [_table()]),
            Row("The worst", [_success().span(8), _budgets().span(8), _burn().span(8)]),
            Row("Over time", [_outcomes(), _active()]),
        ],
    )


def _deployments() -> stat.Panel:
    paused = runs.gauge("prefect_deployment_paused")
    return panels.stat_panel(
        "Deployments listed", "Deployments of those chosen that Prefect lists.", panels.COUNT
    ).with_target(instant(f"count({paused})"))


def _failing() -> stat.Panel:
    return _number(
        "Failing now",
        "Deployments whose last run failed, timed out or crashed.",
        f"count({_FAILING} > 0) or count({_FAILING}) * 0",
    )


def _overdue() -> stat.Panel:
    since = f"({_SUCCESS} >= on ({runs.BY}) {_DUE})"
    return _number(
        "Overdue",
        "Deployments that were due more than ten minutes ago by their schedule, and have not"
        " completed a run since.",
        f"count({_DUE} < time() - 600 unless on ({runs.BY}) {since}) or count({_DUE}) * 0",
    )


def _overspent() -> stat.Panel:
    return _number(
        "Error budgets overspent",
        "Deployments that failed more often in the last 30 days than their objective allows.",
        f"count({_BUDGET} < 0) or count({_BUDGET}) * 0",
    )


def _number(title: str, description: str, expr: str) -> stat.Panel:
    return (
        panels.stat_panel(title, description, panels.COUNT)
        .with_target(instant(expr))
        .thresholds(palette.rising(1, 5))
    )


def _table() -> table.Panel:
    finished = runs.last_day("finished", OF_DEPLOYMENT)
    failed = runs.last_day("failed", OF_DEPLOYMENT)
    following = runs.gauge("prefect_deployment_next_run_timestamp_seconds")
    return tables.table_panel(
        "Deployments",
        "One row for each deployment; runs without a deployment stand under their flow's name"
        " alone. Runs, failures and success are of the last 24 hours. The budget is of the last 30"
        " days: 100 % is untouched, below 0 % is overspent, -100 % stands for all below it. Click"
        " on a name for the flow's board.",
        runs.columns(),
        [
            tables.Value("Failed in a row", _FAILING, thresholds=palette.rising(1, 3)),
            tables.Value("Runs", f"round({finished})"),
            tables.Value("Failures", f"round({failed})"),
            tables.Value("Success", f"1 - {failed} / ({finished} > 0)", panels.RATIO),
            tables.Value("Objective", f"{_OBJECTIVE} and on ({runs.BY}) {finished}", panels.RATIO),
            tables.Value(
                "Budget left", f"clamp_min({_BUDGET}, -1)", panels.RATIO, palette.falling(0, 0.25)
            ),
            tables.Value("Last success", f"{_SUCCESS} * 1000", panels.TIMESTAMP, width=140),
            tables.Value("Next run", f"{following} * 1000", panels.TIMESTAMP, width=140),
            tables.Value(
                "Paused",
                runs.gauge("prefect_deployment_paused"),
                words=panels.mapping(_PAUSED),
            ),
        ],
    ).height(14)


def _outcomes() -> timeseries.Panel:
    panel = panels.bars(
        "Flow runs by outcome",
        "Flow runs that ended in the time of each bar, each once; the legend has the sum of what"
        " is shown. Subflows in the process of their parent are left out.",
    ).with_target(ranged(runs.by_outcome(), "{{outcome}}"))
    return panels.colored(panel, palette.OUTCOMES)


def _success() -> bargauge.Panel:
    ratio = owned(f"target_flow_deployment:prefect_flow_runs:success_ratio_1d{{{OF_DEPLOYMENT}}}")
    return (
        _ranking(
            "Lowest success, last 24 hours",
            "The ten deployments with the lowest share of runs that completed of those that ended.",
            panels.RATIO,
        )
        .with_target(_ranked(f"sort(bottomk(10, {ratio}))"))
        .max(1)
        .thresholds(palette.falling(0.95, 0.99))
    )


def _budgets() -> bargauge.Panel:
    return (
        _ranking(
            "Least error budget left",
            "The ten deployments with the least: share of the failures that their objective allows"
            " in 30 days which is still left. Below 0 % it is overspent; -100 % stands for all that"
            " is below it.",
            panels.RATIO,
        )
        .with_target(_ranked(f"sort(bottomk(10, clamp_min({_BUDGET}, -1)))"))
        .min(-1)
        .max(1)
        .thresholds(palette.falling(0, 0.25))
    )


def _burn() -> bargauge.Panel:
    burn = owned(f"target_flow_deployment:prefect_slo_burn_rate:1h{{{OF_DEPLOYMENT}}}")
    return (
        _ranking(
            "Fastest burn of error budgets, last hour",
            "How many times faster than its objective allows a deployment failed in the last hour:"
            " at 1 the budget lasts for its 30 days, at 14.4 for two. The ten highest.",
            "suffix:x",
        )
        .with_target(_ranked(f"sort_desc(topk(10, {burn}))"))
        .thresholds(palette.rising(1, 6))
    )


def _ranking(title: str, description: str, unit: str) -> bargauge.Panel:
    return panels.ranking(title, description, unit).decimals(1)


def _ranked(expr: str) -> prometheus.Dataquery:
    return instant(expr, "{{flow}}/{{deployment}}")


def _active() -> timeseries.Panel:
    active = owned(f"sum by ({runs.BY}, state_type) (prefect_flow_runs_active{{{OF_DEPLOYMENT}}})")
    graph = panels.graph(
        "Flow runs under way",
        "Flow runs that have started, or wait for a slot, a retry or a worker, by the type of"
        " their state.",
        panels.COUNT,
    ).with_target(ranged(f"sum by (state_type) ({active})", "{{state_type}}"))
    return panels.colored_like(graph, palette.STATES)
