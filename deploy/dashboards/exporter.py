"""Panels of the exporter: how old its data is, what it asks of Prefect, and what it keeps."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries

from dashboards import palette, panels, tables
from dashboards.board import Row
from dashboards.sources import OF_TARGET, each_interval, instant, ranged

_BY = "target, collector"
_LAST = f"prefect_exporter_collector_last_success_timestamp_seconds{{{OF_TARGET}}}"
_ASKED = f"prefect_exporter_collector_supported{{{OF_TARGET}}} == 1"
_AGE = f"(time() - max by ({_BY}) ({_LAST}) and on ({_BY}) ({_ASKED}))"
_OLD = palette.rising(400, 900)


def oldest() -> stat.Panel:
    """Return the age of the oldest data."""
    return (
        panels.stat_panel(
            "Oldest data",
            "Age of the data of the collector that last succeeded longest ago. Most ask every 15 s"
            " or every minute, that of deployments every 5 minutes.",
            panels.SECONDS,
        )
        .with_target(instant(f"max({_AGE})"))
        .thresholds(_OLD)
    )


def failing() -> stat.Panel:
    """Return how many collectors do not work."""
    failed = f"prefect_exporter_collector_success{{{OF_TARGET}}} == bool 0"
    return (
        panels.stat_panel(
            "Collectors that fail",
            "Collectors of the exporter whose last poll failed; their last good values stay for"
            " five minutes.",
            panels.COUNT,
        )
        .with_target(instant(f"sum({failed})"))
        .thresholds(palette.rising(1, 3))
    )


def row() -> Row:
    """Return each collector, and what the exporter itself needs."""
    graphs = [_ages(), _failures(), _corrections(), _terminal(), _series(), _ledger(), _process()]
    return Row("Exporter", [_collectors(), *graphs, _configuration()])


def requests() -> Row:
    """Return what the exporter asks of Prefect, and what that costs."""
    return Row("Requests to Prefect", [_statuses(), _errors(), _routes(), _bytes()], folded=True)


def _collectors() -> table.Panel:
    no = panels.mapping({"0": ("no", palette.GOOD), "1": ("yes", palette.WARNING)})
    works = panels.mapping({"1": ("yes", palette.GOOD), "0": ("NO", palette.BAD)})
    failed = f'prefect_exporter_collector_polls_total{{{OF_TARGET}, status="failure"}}'
    return tables.table_panel(
        "Collectors",
        "What the exporter reads, oldest first; how long its last poll took, how many polls of the"
        " last hour failed. Truncated: Prefect had more than the limit lets it read. Folded: things"
        " without a name of their own, for a limit of names.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label("collector", "Collector"),
        ],
        [
            tables.Value("Age", _AGE, panels.SECONDS, _OLD, width=90),
            tables.Value("Works", _of_collector("collector_success", "min"), words=works),
            tables.Value("Took", _of_collector("collector_duration_seconds"), panels.SECONDS),
            tables.Value(
                "Failed, 1 h",
                f"round(sum by ({_BY}) (increase({failed}[1h])))",
                thresholds=palette.rising(1, 10),
            ),
            tables.Value("Truncated", _of_collector("truncated"), words=no),
            tables.Value("Folded", _of_collector("folded"), thresholds=palette.rising(1, 100)),
        ],
    ).height(14)


def _of_collector(what: str, among: str = "max") -> str:
    return f"{among} by ({_BY}) (prefect_exporter_{what}{{{OF_TARGET}}})"


def _ages() -> timeseries.Panel:
    return panels.graph(
        "Age of run data",
        "How long ago the exporter last read flow runs and task runs. Flat and low: counters here"
        " are as new as that.",
        panels.SECONDS,
    ).with_target(
        ranged(
            f"{_AGE} and on ({_BY}) {_named('flow_runs|task_runs|flow_runs_late')}",
            "{{target}} {{collector}}",
        )
    )


def _named(collectors: str) -> str:
    return f'prefect_exporter_collector_success{{collector=~"{collectors}"}}'


def _failures() -> timeseries.Panel:
    polls = f'prefect_exporter_collector_polls_total{{{OF_TARGET}, status="failure"}}'
    return panels.bars(
        "Failed polls",
        "Polls of all collectors that failed in the time of each bar; the table says whose.",
    ).with_target(ranged(f"round(sum by (target) ({each_interval(polls)}))", "{{target}}"))


def _corrections() -> timeseries.Panel:
    found = f"prefect_exporter_audit_corrections_total{{{OF_TARGET}}}"
    alone = f"prefect_exporter_event_only_completions_total{{{OF_TARGET}}}"
    return (
        panels.bars(
            "Run ends that were found late",
            "Ends that the audit of counts found, and ends that only an event told of. They are"
            " counted; many of them mean that Prefect's own writing is behind.",
        )
        .with_target(ranged(f"round(sum by (feed) ({each_interval(found)}))", "audit: {{feed}}"))
        .with_target(ranged(f"round(sum({each_interval(alone)}))", "event alone"))
    )


def _terminal() -> timeseries.Panel:
    spans = f"prefect_exporter_terminal_spans_total{{{OF_TARGET}}}"
    return panels.bars(
        "Spans of killed runs",
        "Flow runs whose process may have been killed before it sent its span, by what came of it:"
        " sent by the exporter, failed, its own span came after all, changed, dropped.",
    ).with_target(ranged(f"round(sum by (result) ({each_interval(spans)}))", "{{result}}"))


def _series() -> timeseries.Panel:
    return (
        panels.graph(
            "Counted series",
            "Series that the exporter counts, and those that it still shows at 0 so that Prometheus"
            " sees them begin. A histogram is one.",
            panels.COUNT,
        )
        .with_target(ranged("max by (instance) (prefect_exporter_series)", "{{instance}} counted"))
        .with_target(
            ranged("max by (instance) (prefect_exporter_held_series)", "{{instance}} held")
        )
    )


def _ledger() -> timeseries.Panel:
    return panels.graph(
        "Ledger",
        "Size of the file that the exporter keeps its counts in. It grows with what is counted,"
        " not with time.",
        panels.BYTES,
    ).with_target(ranged("max by (instance) (prefect_exporter_ledger_bytes)", "{{instance}}"))


def _process() -> timeseries.Panel:
    memory = 'process_resident_memory_bytes{job="prefect-exporter"}'
    return panels.graph(
        "Memory of the exporter", "Resident memory of its process.", panels.BYTES
    ).with_target(ranged(memory, "{{instance}}"))


def _configuration() -> statetimeline.Panel:
    words = {"1": ("ok", palette.GOOD), "0": ("REFUSED", palette.BAD)}
    return (
        panels.timeline(
            "Configuration",
            "Whether each program could use its configuration when it last read it; refused, the"
            " old one goes on.",
            words,
        )
        .with_target(ranged("min(prefect_exporter_config_reload_success)", "exporter"))
        .with_target(ranged("min(prometheus_config_last_reload_successful)", "Prometheus"))
        .with_target(ranged("min(alertmanager_config_last_reload_successful)", "Alertmanager"))
        .span(12)
        .height(8)
    )


def _statuses() -> timeseries.Panel:
    asked = f"prefect_exporter_api_requests_total{{{OF_TARGET}}}"
    return panels.graph(
        "Requests by status",
        "What the exporter asks of Prefect, second tries included, by HTTP status or kind of error."
        " 429: Prefect Cloud's limit is reached.",
        panels.PER_SECOND,
    ).with_target(ranged(f"sum by (status) (rate({asked}[$__rate_interval]))", "{{status}}"))


def _errors() -> timeseries.Panel:
    failed = each_interval(f"prefect_exporter_api_errors_total{{{OF_TARGET}}}")
    none = f"0 * sum(rate(prefect_exporter_api_requests_total{{{OF_TARGET}}}[$__rate_interval]))"
    return (
        panels.bars(
            "Requests without an answer",
            "Requests that gave no usable answer in the time of each bar, by kind.",
        )
        .with_target(ranged(f"round(sum by (kind) ({failed}))", "{{kind}}"))
        .with_target(ranged(none, "none"))
    )


def _routes() -> bargauge.Panel:
    asked = f"prefect_exporter_api_requests_total{{{OF_TARGET}}}"
    return panels.ranking(
        "Requests by route",
        "Requests a second in the time range, the ten most frequent routes of the API.",
        panels.PER_SECOND,
    ).with_target(instant(f"topk(10, sum by (route) (rate({asked}[$__range])))", "{{route}}"))


def _bytes() -> bargauge.Panel:
    came = f"prefect_exporter_api_bytes_total{{{OF_TARGET}}}"
    return panels.ranking(
        "Bytes by route",
        "Bytes a second of Prefect's answers as they came over the wire, in the time range, the ten"
        " largest routes.",
        "binBps",
    ).with_target(instant(f"topk(10, sum by (route) (rate({came}[$__range])))", "{{route}}"))
