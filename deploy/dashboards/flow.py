"""One flow: how its runs end, how long they take, why they fail, and what they say."""

from __future__ import annotations

from grafana_foundation_sdk.builders import (
    heatmap,
    logs,
    stat,
    table,
    timeseries,
)

from dashboards import failures, palette, panels, runs, variables
from dashboards.board import Board, Row
from dashboards.sources import (
    JAEGER,
    OF_DEPLOYMENT,
    Traces,
    buckets,
    each_interval,
    instant,
    lines,
    owned,
    ranged,
    zero_filled,
)

_SUCCEEDED = runs.gauge("prefect_deployment_last_success_timestamp_seconds")
_STATE = "{{state_type}} {{state}}"
_DURATION = f'prefect_flow_run_duration_seconds_bucket{{{OF_DEPLOYMENT}, outcome="success"}}'


def board() -> Board:
    """Return the board to which names of flows lead."""
    return Board(
        uid="prefect-flow",
        title="One flow",
        description="How one flow's runs end, how long they take, why they fail and what they say.",
        chosen=[variables.flow(everything=False), variables.deployment(), variables.service()],
        rows=[
            Row("", [_success(), _in_a_row(), _age(), _next()]),
            Row("", [_active_now(), _oldest(), _late(), _budget()]),
            Row("Runs", [_outcomes(), _ratio(), _durations(), _spread()]),
            Row("Waiting", [_states(), _ages(), _freshness(), _retries()]),
            Row("Failures", [failures.by_fingerprint(), failures.categories().span(24)]),
            Row("Logs and traces", [_lines().span(12), _traces()]),
        ],
    )


def _success() -> stat.Panel:
    failed, finished = (runs.last_day(what, OF_DEPLOYMENT) for what in ("failed", "finished"))
    return (
        panels.stat_panel(
            "Success, last 24 hours",
            "Share of flow runs that completed of those that ended, cancelled ones left out. No"
            " data: none ended.",
            panels.RATIO,
        )
        .with_target(instant(f"1 - sum({failed}) / (sum({finished}) > 0)"))
        .decimals(1)
        .thresholds(palette.falling(0.95, 0.99))
    )


def _in_a_row() -> stat.Panel:
    failing = runs.gauge("prefect_deployment_consecutive_failures")
    return (
        panels.stat_panel(
            "Failed in a row",
            "Runs that failed since one completed, of the deployment with the most; 20 stands for"
            " 20 or more.",
            panels.COUNT,
        )
        .with_target(instant(f"max({failing})"))
        .thresholds(palette.rising(1, 3))
    )


def _age() -> stat.Panel:
    return panels.stat_panel(
        "Last success",
        "When a run last completed, of the deployment for which it is longest ago. No data: none"
        " ever did.",
        panels.TIMESTAMP,
    ).with_target(instant(f"min({_SUCCEEDED}) * 1000"))


def _next() -> stat.Panel:
    following = runs.gauge("prefect_deployment_next_run_timestamp_seconds")
    return (
        panels.stat_panel(
            "Next run",
            "When a deployment is due next by its schedules.",
            panels.TIMESTAMP,
        )
        .with_target(instant(f"min({following}) * 1000"))
        .no_value("no schedule")
    )


def _active_now() -> stat.Panel:
    active = owned(f"sum by ({runs.BY}) (prefect_flow_runs_active{{{OF_DEPLOYMENT}}})")
    return panels.stat_panel(
        "Under way",
        "Flow runs that have started, or wait for a slot, a retry or a worker.",
        panels.COUNT,
    ).with_target(instant(zero_filled(f"sum({active})", "flow_runs_active")))


def _oldest() -> stat.Panel:
    oldest = runs.gauge("prefect_flow_run_oldest_active_seconds")
    return panels.stat_panel(
        "Oldest under way",
        "How long the run has been in its state that has been in it for longest; 0 where none is"
        " under way.",
        panels.SECONDS,
    ).with_target(instant(zero_filled(f"max({oldest})", "flow_runs_active")))


def _late() -> stat.Panel:
    late = owned(f"sum by ({runs.BY}) (prefect_flow_runs_late{{{OF_DEPLOYMENT}}})")
    return (
        panels.stat_panel("Late now", "Flow runs that were due and have not started.", panels.COUNT)
        .with_target(instant(zero_filled(f"sum({late})", "flow_runs_late")))
        .thresholds(palette.rising(1, 10))
    )


def _budget() -> stat.Panel:
    budget = owned(
        f"target_flow_deployment:prefect_slo_error_budget:remaining_ratio30d{{{OF_DEPLOYMENT}}}"
    )
    return (
        panels.stat_panel(
            "Error budget left",
            "Share of the failures that the objective allows in 30 days which is still left, of the"
            " deployment with the least. Below 0 % it is overspent; -100 % stands for all below.",
            panels.RATIO,
        )
        .with_target(instant(f"clamp_min(min({budget}), -1)"))
        .thresholds(palette.falling(0, 0.25))
        .no_value("no objective")
    )


def _outcomes() -> timeseries.Panel:
    panel = panels.bars(
        "Flow runs by outcome",
        "Flow runs that ended in the time of each bar, each once; the legend has the sum of what"
        " is shown. A failed run that was traced has a point that opens its trace.",
    ).with_target(ranged(runs.by_outcome(), "{{outcome}}", exemplars=True))
    return panels.colored(panel, palette.OUTCOMES)


def _ratio() -> timeseries.Panel:
    graph = panels.graph(
        "Success and objective",
        "Share of runs that completed of those that ended in the time before each point; the"
        " lowest objective of the chosen deployments. A gap: none ended.",
        panels.RATIO,
    ).max(1)
    for window, name in (("1h", "an hour"), ("1d", "a day"), ("30d", "30 days")):
        ratio = f"target_flow_deployment:prefect_flow_runs:success_ratio_{window}"
        graph.with_target(ranged(f"min({owned(f'{ratio}{{{OF_DEPLOYMENT}}}')})", name))
    objective = f"target_flow_deployment:prefect_slo_objective:success{{{OF_DEPLOYMENT}}}"
    graph.with_target(ranged(f"min({owned(objective)})", "objective"))
    colors = {
        "an hour": palette.SKY,
        "a day": palette.BLUE,
        "30 days": palette.PURPLE,
        "objective": palette.GREY,
    }
    return panels.colored(graph, colors)


def _durations() -> timeseries.Panel:
    graph = panels.graph(
        "Duration of successful runs",
        "Running time of flow runs that completed around each point, and the lowest objective where"
        " there is one. Points are single runs that were traced: click on one for its trace.",
        panels.SECONDS,
    )
    rate = owned(f"sum by ({runs.BY}, le) (rate({_DURATION}[$__rate_interval]))")
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        quantile = f"histogram_quantile({share}, sum by (le) ({rate}))"
        graph.with_target(ranged(quantile, name, exemplars=name == "p99"))
    objective = f"target_flow_deployment:prefect_slo_objective:duration{{{OF_DEPLOYMENT}}}"
    graph.with_target(ranged(f"min({owned(objective)})", "objective"))
    graph.max_data_points(100).interval("5m").span_nulls(True)
    return panels.colored(graph, {**palette.QUANTILES, "objective": palette.GREY})


def _spread() -> heatmap.Panel:
    each = owned(f"sum by ({runs.BY}, le) ({each_interval(_DURATION)})")
    return panels.spread(
        "How durations spread",
        "Flow runs that completed, by running time: the darker a field, the more runs. Points are"
        " runs that were traced.",
        panels.SECONDS,
    ).with_target(buckets(f"sum by (le) ({each})"))


def _states() -> timeseries.Panel:
    active = owned(
        f"sum by ({runs.BY}, state_type, state) (prefect_flow_runs_active{{{OF_DEPLOYMENT}}})"
    )
    graph = (
        panels.graph(
            "Flow runs under way by state",
            "Flow runs that have started or wait. Late: was due; AwaitingConcurrencySlot: waits for"
            " a slot of a limit; AwaitingRetry: failed and will start again.",
            panels.COUNT,
        )
        .with_target(ranged(f"sum by (state_type, state) ({active})", _STATE))
        .with_target(ranged(zero_filled(f"sum({active})", "flow_runs_active"), "all"))
    )
    return panels.colored_like(graph, {**palette.STATES, "^all$": palette.GREY})


def _ages() -> timeseries.Panel:
    oldest = owned(
        f"max by ({runs.BY}, state_type, state)"
        f" (prefect_flow_run_oldest_active_seconds{{{OF_DEPLOYMENT}}})"
    )
    graph = (
        panels.graph(
            "Oldest run in each state",
            "How long the oldest run has been in its state. A line that goes on rising is a run"
            " that is stuck, or that died unseen.",
            panels.SECONDS,
        )
        .with_target(ranged(f"max by (state_type, state) ({oldest})", _STATE))
        .with_target(ranged(zero_filled(f"max({oldest})", "flow_runs_active"), "oldest of all"))
    )
    return panels.colored_like(graph, {**palette.STATES, "^oldest of all$": palette.GREY})


def _freshness() -> timeseries.Panel:
    interval = runs.gauge("prefect_deployment_schedule_interval_seconds")
    fresh = owned(f"target_flow_deployment:prefect_slo_objective:fresh{{{OF_DEPLOYMENT}}}")
    graph = (
        panels.graph(
            "Freshness and schedule",
            "How long ago a run last completed, beside the time from one due run to the next and"
            " the age that the objective allows. An age above the interval is a run that was"
            " missed or failed.",
            panels.SECONDS,
        )
        .with_target(ranged(f"time() - {_SUCCEEDED}", "{{deployment}}: age"))
        .with_target(ranged(interval, "{{deployment}}: interval"))
        .with_target(ranged(fresh, "{{deployment}}: objective"))
    )
    colors = {": age$": palette.BLUE, ": interval$": palette.GREY, ": objective$": palette.ORANGE}
    return panels.colored_like(graph, colors)


def _retries() -> timeseries.Panel:
    retries = each_interval(f"prefect_flow_run_retries_total{{{OF_DEPLOYMENT}}}")
    each = owned(f"sum by ({runs.BY}) ({retries})")
    return panels.bars(
        "Retries",
        "Starts beyond the first of flow runs that ended in the time of each bar.",
    ).with_target(ranged(each, "{{flow}}/{{deployment}}"))


def _lines() -> logs.Panel:
    return panels.log_lines(
        "Newest log lines",
        "What the flow's runs, tasks and libraries logged. Open a line for its run, its trace and"
        " all of its fields. Lines know no target.",
    ).with_target(lines(failures.LINES))


def _traces() -> table.Panel:
    return (
        table.Panel()
        .title("Newest traces")
        .description(
            "Traces of the flow that were kept: all failed and slow ones and a share of the rest."
            " Click on an id for the trace. Asks the chosen service alone."
        )
        .unit(panels.COUNT)
        .datasource(JAEGER)
        .with_target(Traces("$service", 'prefect.flow.name="$flow"'))
        .no_value("no traces")
        .span(12)
        .height(10)
    )
