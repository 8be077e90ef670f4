"""Pipelines: what they move, what they reject, what waits to be replayed, and how they recover."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode

from dashboards import links, palette, panels, tables, variables
from dashboards.board import Board, Row
from dashboards.sources import OF_RUNS, OWNER, instant, ranged

_ROWS = 'etl_rows_total{client=~"$client"}'
_HOUR = 'client_outcome:etl_rows:increase1h{client=~"$client"'
_LETTERS = 'prefect_sdk_dead_letters{queue=~"$queue"}'
_BREAKERS = "prefect_sdk_circuit_breaker_state"
_RECOVERIES = "etl_recoveries_total"
_PEAK = "prefect_sdk_process_peak_memory_bytes"
_OUTCOMES = {"accepted": palette.GOOD, "rejected": palette.BAD, "replayed": palette.NEUTRAL}
_STATES = {
    "0": ("closed", palette.GOOD),
    "1": ("half open", palette.WARNING),
    "2": ("OPEN", palette.BAD),
}
# ETL_MEMORY_MIB for rows, if it is not set, and as much for Python, Prefect and Polars.
_BUDGET_BYTES = 2 * 256 * 2**20
# The bound of the alert PrefectRowsRejected.
_REJECTED = palette.rising(0.02, 0.05)
_STEP = "flow, deployment, task"
_WAY = "{{source}} > {{destination}}"
_ERRORS = links.panel_link("Errors", "prefect-errors")


def board() -> Board:
    """Return the board of examples/etl, and of whatever tells the same of itself."""
    return Board(
        uid="prefect-pipelines",
        title="Pipelines",
        description="What pipelines move, what they reject, and how they come through trouble.",
        chosen=[
            variables.flow(),
            variables.deployment(),
            variables.chosen("client", "Client", "label_values(etl_rows_total, client)"),
            variables.chosen("queue", "Queue", "label_values(prefect_sdk_dead_letters, queue)"),
            variables.chosen("breaker", "Breaker", f"label_values({_BREAKERS}, breaker)"),
        ],
        rows=[
            Row("", [_waiting(), _open(), _share_now(), _recovered()]),
            Row("Rows", [_rows(), _share()]),
            Row("What could not be used", [_letters(), _breakers()]),
            Row("What is moved", [_moved("records", "record"), _moved("bytes", "byte"), _steps()]),
            Row("Trouble", [_errors(), _attempts(), _recoveries(), _rates(), _memory()]),
        ],
    )


def _risen(counter: str, window: str = "$__interval") -> str:
    """Return how much each series rose in *window*, also what it was born with.

    A batch of seconds sends its rows at once, as the first value of a counter. Without an hour of
    silence before it, it is none that is born: a scrape was missed.

    Args:
        counter: Name and selector.
        window: Of Grafana's.
    """
    born = f"{counter} unless last_over_time({counter}[1h] offset {window})"
    before = f"({counter} offset {window} or min_over_time({counter}[{window}]))"
    return f"(({born}) or ({counter} - {before} >= 0 or {counter}))"


def _of_team(expr: str) -> str:
    """Return what is of the chosen target's and team's deployments; *expr* has flow and so on."""
    return f'({expr} and on (flow, deployment) {OWNER}{{target=~"$target", team=~"$team"}})'


def _depths() -> str:
    return f"max by (service_name, queue) ({_LETTERS})"


def _in(state: str) -> str:
    return f'max by (service_name, breaker) ({_BREAKERS}{{breaker=~"$breaker", state="{state}"}})'


def _rejected(by: str) -> str:
    """Return the share of the rows of the last hour that were rejected."""
    rejected = f'sum{by} ({_HOUR}, outcome="rejected"}})'
    judged = f'sum{by} ({_HOUR}, outcome=~"accepted|rejected"}})'
    return f"({rejected} or 0 * {judged}) / ({judged} > 0)"


def _waiting() -> stat.Panel:
    return (
        panels.stat_panel(
            "Dead letters",
            "Records that could not be used and wait to be replayed, as whoever looked last has"
            " said.",
            panels.COUNT,
        )
        .with_target(instant(f"sum(max by (queue) ({_LETTERS}))"))
        .thresholds(palette.rising(1, 1000))
    )


def _open() -> stat.Panel:
    closed = _in("closed")
    return (
        panels.stat_panel(
            "Breakers that are not closed",
            "Circuit breakers that let nobody, or one alone, ask the service behind them.",
            panels.COUNT,
        )
        .with_target(instant(f"sum({closed} == bool 0)"))
        .thresholds(palette.rising(1, 1))
    )


def _share_now() -> stat.Panel:
    return (
        panels.stat_panel(
            "Rejected, last hour",
            "Share of the rows that were rejected, of those that were read in the last hour. No"
            " data: none were.",
            panels.RATIO,
        )
        .with_target(instant(_rejected("")))
        .decimals(1)
        .thresholds(_REJECTED)
    )


def _recovered() -> stat.Panel:
    recovered, every = (
        f"sum({_risen(counter, '$__range')})"
        for counter in (f'{_RECOVERIES}{{outcome="recovered"}}', _RECOVERIES)
    )
    return (
        panels.stat_panel(
            "Recoveries that succeeded",
            "Share of the attempts to go on after a failure, in the chosen time range, that led to"
            " the end of the work: another try, a chunk taken over, a run started once more.",
            panels.RATIO,
        )
        .with_target(instant(f"({recovered} or 0 * {every}) / ({every} > 0)"))
        .thresholds(palette.falling(0.5, 0.95))
        .no_value("nothing to recover")
    )


def _rows() -> timeseries.Panel:
    panel = panels.bars(
        "Rows by outcome",
        "Rows that were loaded, put aside as dead letters, or replayed in the time of each bar."
        " Rows know neither target nor team.",
    ).with_target(ranged(f"sum by (outcome) ({_risen(_ROWS)})", "{{outcome}}", exemplars=True))
    return panels.colored(panel, _OUTCOMES)


def _share() -> timeseries.Panel:
    line = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return (
        panels.graph(
            "Rejected share by client",
            "Of the rows of the hour before each point. Dashed: from 5 % on there is an alert,"
            " where there are a hundred rows.",
            panels.RATIO,
        )
        .with_target(ranged(_rejected(" by (client)"), "{{client}}"))
        .thresholds(_REJECTED)
        .thresholds_style(line)
    )


def _letters() -> timeseries.Panel:
    return panels.graph(
        "Dead letters by queue",
        "How many wait. A line that falls to nothing: they were replayed. The last word of a"
        " process that has ended stays for 26 h.",
        panels.COUNT,
    ).with_target(ranged(_depths(), "{{queue}} of {{service_name}}"))


def _breakers() -> statetimeline.Panel:
    return (
        panels.timeline(
            "Circuit breakers",
            "Closed: requests pass. Open: they fail at once, since the service behind has failed"
            " again and again. Half open: one request is let through to see.",
            _STATES,
        )
        .with_target(
            ranged(f"2 * {_in('open')} + {_in('half_open')}", "{{breaker}} of {{service_name}}")
        )
        .span(12)
        .height(8)
    )


def _moved(what: str, one: str) -> timeseries.Panel:
    unit = panels.PER_SECOND if what == "records" else "Bps"
    moved = _of_team(f"rate(prefect_sdk_io_{what}_total{{{OF_RUNS}}}[$__rate_interval])")
    return panels.graph(
        f"{what.capitalize()} a second",
        f"What tasks told record_io(), by where each {one} comes from and goes to. A process tells"
        " it once a minute and at its end.",
        unit,
    ).with_target(ranged(f"sum by (source, destination) ({moved})", _WAY, exemplars=True))


def _steps() -> table.Panel:
    def of(counter: str) -> str:
        return _of_team(f"sum by ({_STEP}) ({_risen(f'{counter}{{{OF_RUNS}}}', '$__range')})")

    return tables.table_panel(
        "Steps",
        "What each flow and task did in the chosen time range: a row without a task is the flow"
        " itself. Attempts beyond the runs are retries.",
        [
            tables.Label(
                "flow",
                "Flow",
                links.to_board(
                    "One flow", "prefect-flow", {"flow": "flow", "deployment": "deployment"}
                ),
            ),
            tables.Label("deployment", "Deployment"),
            tables.Label("task", "Task"),
        ],
        [
            tables.Value("Records", of("prefect_sdk_io_records_total")),
            tables.Value("Bytes", of("prefect_sdk_io_bytes_total"), panels.BYTES),
            tables.Value("Attempts", of("prefect_sdk_attempts_total")),
            tables.Value("Errors", of("prefect_sdk_errors_total")),
        ],
    )


def _errors() -> timeseries.Panel:
    errors = _of_team(_risen(f"prefect_sdk_errors_total{{{OF_RUNS}}}"))
    panel = panels.bars(
        "Errors by category",
        "Attempts that raised in the time of each bar, also those that a retry made good. Points"
        " open their traces.",
    ).with_target(ranged(f"sum by (category) ({errors})", "{{category}}", exemplars=True))
    return panels.colored(panel.links([_ERRORS]), palette.CATEGORIES)


def _attempts() -> timeseries.Panel:
    attempts = _of_team(_risen(f"prefect_sdk_attempts_total{{{OF_RUNS}}}"))
    return panels.bars(
        "Attempts by flow",
        "Times that flow and task runs began, retries among them, in the time of each bar.",
    ).with_target(ranged(f"sum by (flow) ({attempts})", "{{flow}}", exemplars=True))


def _recoveries() -> timeseries.Panel:
    return panels.bars(
        "Recoveries",
        "Attempts to go on after a failure, by step and by what became of them, in the time of each"
        " bar.",
    ).with_target(
        ranged(f"sum by (step, outcome) ({_risen(_RECOVERIES)})", "{{step}}: {{outcome}}")
    )


def _rates() -> bargauge.Panel:
    recovered, every = (
        f"sum by (step) ({_risen(counter, '$__range')})"
        for counter in (f'{_RECOVERIES}{{outcome="recovered"}}', _RECOVERIES)
    )
    return (
        panels.ranking(
            "Recoveries that succeeded, by step",
            "Share of the attempts in the chosen time range. A step that seldom recovers: trying"
            " again does not help it.",
            panels.RATIO,
        )
        .with_target(instant(f"({recovered} or 0 * {every}) / ({every} > 0)", "{{step}}"))
        .thresholds(palette.falling(0.5, 0.95))
        .max(1)
    )


def _memory() -> timeseries.Panel:
    total, count = (
        f"sum by (flow, task) ({_of_team(_risen(f'{_PEAK}_{part}{{{OF_RUNS}}}'))})"
        for part in ("sum", "count")
    )
    line = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return (
        panels.graph(
            "Peak memory by flow",
            "Most resident memory of the processes of runs that ended around each point, on"
            " average. Dashed: 512 MiB, where examples/etl has"
            " 256 MiB for its rows.",
            panels.BYTES,
        )
        .with_target(ranged(f"{total} / ({count} > 0)", "{{flow}} {{task}}", exemplars=True))
        .thresholds(palette.rising(_BUDGET_BYTES, _BUDGET_BYTES))
        .thresholds_style(line)
        .span_nulls(True)
        .span(24)
    )
