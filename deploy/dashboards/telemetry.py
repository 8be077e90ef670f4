"""The exporter, and everything that carries metrics, traces and log lines."""

from __future__ import annotations

from grafana_foundation_sdk.builders import logs, stat, timeseries

from dashboards import collector, exporter, palette, panels, pipeline
from dashboards.board import Board, Row
from dashboards.sources import LOKI, counted_lines, instant, lines, ranged


def board() -> Board:
    """Return the board that says whether the other boards can be believed."""
    return Board(
        uid="prefect-telemetry",
        title="Telemetry pipeline and exporter",
        description="Whether metrics, traces, log lines and alerts arrive, so whether the other"
        " boards can be believed.",
        rows=[
            Row("", [_programs(), _firing()]),
            Row("", [exporter.oldest(), exporter.failing(), collector.lost(), collector.fullest()]),
            exporter.row(),
            exporter.requests(),
            collector.row(),
            pipeline.prometheus(),
            pipeline.alertmanager(),
            _carried(),
        ],
    )


def _programs() -> stat.Panel:
    words = {"1": ("up", palette.GOOD), "0": ("DOWN", palette.BAD)}
    return (
        panels.stat_panel(
            "Programs that Prometheus reaches",
            "One tile a scrape job, down where any of its programs does not answer. A program whose"
            " profile is off has none.",
            panels.COUNT,
        )
        .with_target(instant("min by (job) (up)", "{{job}}"))
        .mappings([panels.mapping(words)])
        .thresholds(palette.falling(1, 1))
        .span(18)
        .height(6)
    )


def _firing() -> stat.Panel:
    return (
        panels.stat_panel(
            "Alerts that fire",
            "All alerts of all teams, the Watchdog left out. Overview lists them.",
            panels.COUNT,
        )
        .with_target(instant('count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)'))
        .thresholds(palette.rising(1, 5))
        .height(6)
    )


def _carried() -> Row:
    shown = [_spans(), _stored(), _received(), _lines(), _newest()]
    return Row("Traces and log lines", shown, folded=True)


def _spans() -> timeseries.Panel:
    spans = "rate(traces_span_metrics_calls_total[$__rate_interval])"
    return panels.graph(
        "Spans by service",
        "All spans that reached the collector, before it decides which traces are kept.",
        panels.PER_SECOND,
    ).with_target(ranged(f"sum by (service_name) ({spans})", "{{service_name}}"))


def _stored() -> timeseries.Panel:
    kept = 'exporter="jaeger_storage_exporter"'
    panel = panels.graph(
        "Spans in Jaeger",
        "Spans that Jaeger has written to its store, and those that it could not write.",
        panels.PER_SECOND,
    )
    for name, what in (("stored", "sent"), ("failed", "send_failed")):
        rate = f"sum(rate(otelcol_exporter_{what}_spans_total{{{kept}}}[$__rate_interval]))"
        panel.with_target(ranged(rate, name))
    return panels.colored(panel, {"failed": palette.BAD})


def _received() -> timeseries.Panel:
    taken = "sum(rate(loki_distributor_lines_received_total[$__rate_interval]))"
    refused = "sum(rate(loki_discarded_samples_total[$__rate_interval]))"
    panel = (
        panels.graph(
            "Log lines in Loki",
            "Lines that came to Loki, and those that it has refused for good: too old, too long, or"
            " too many.",
            panels.PER_SECOND,
        )
        .with_target(ranged(taken, "came"))
        .with_target(ranged(f"{refused} or 0 * {taken}", "refused"))
    )
    return panels.colored(panel, {"refused": palette.BAD})


def _lines() -> timeseries.Panel:
    of_service = 'sum by (service_name) (count_over_time({service_name=~".+"}[$__interval]))'
    return (
        panels.bars("Log lines by service", "Lines that Loki has, in the time of each bar.")
        .with_target(counted_lines(of_service, "{{service_name}}"))
        .datasource(LOKI)
    )


def _newest() -> logs.Panel:
    return panels.log_lines(
        "Newest lines",
        "Of all services. Open a line: its trace and its run are linked.",
    ).with_target(lines('{service_name=~".+"}'))
