"""Panels of the OpenTelemetry Collector; its counters have no `_total` in their names."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, timeseries

from dashboards import palette, panels
from dashboards.board import Row
from dashboards.sources import instant, ranged

# The reader of container logs is a collector too, and its lines come to the other one by OTLP.
_JOB = 'job="otel-collector"'
_SIGNALS = {"spans": "spans", "log_records": "log lines", "metric_points": "metric points"}
_QUEUED = ("spans", "log_records")
_SHARE = f"otelcol_exporter_queue_size{{{_JOB}}} / (otelcol_exporter_queue_capacity{{{_JOB}}} > 0)"


def lost() -> stat.Panel:
    """Return how much was lost on the way to a backend."""
    failures = [
        _zero_filled(_rise(f"otelcol_exporter_{why}_{what}{{{_JOB}}}"))
        for why in ("send_failed", "enqueue_failed")
        for what in _QUEUED
    ]
    return (
        panels.stat_panel(
            "Lost, last hour",
            "Spans and log lines that a backend refused for good, or for which the queue was full.",
            panels.COUNT,
        )
        .with_target(instant(f"round({' + '.join(failures)})"))
        .thresholds(palette.rising(1, 1000))
    )


def fullest() -> stat.Panel:
    """Return how full the fullest queue is."""
    return (
        panels.stat_panel(
            "Fullest queue",
            "Share of the collector's queues on disk that is taken, of the fullest. It fills while"
            " Jaeger or Loki is away; at 100 % spans and lines are lost.",
            panels.RATIO,
        )
        .with_target(instant(f"max({_SHARE})"))
        .thresholds(palette.rising(0.5, 0.8))
    )


def row() -> Row:
    """Return what came, what was sent back, what left, what waits and what is kept."""
    return Row(
        "Collector",
        [_received(), _refused(), _sent(), _failed(), _queues(), _kept(), _memory(), _cpu()],
        folded=True,
    )


def _received() -> timeseries.Panel:
    panel = panels.graph(
        "Received", "What came by OTLP and was taken, by signal.", panels.PER_SECOND
    )
    for what, name in _SIGNALS.items():
        panel.with_target(ranged(_rate(f"receiver_accepted_{what}"), name))
    return panel


def _refused() -> timeseries.Panel:
    panel = panels.graph(
        "Sent back",
        "What came and was not taken, for want of memory or of room in a queue. Senders try again"
        " for a while.",
        panels.PER_SECOND,
    )
    for what, name in _SIGNALS.items():
        panel.with_target(ranged(_zero_filled(_rate(f"receiver_refused_{what}")), name))
    return panel


def _rate(what: str) -> str:
    return f'sum(rate(otelcol_{what}{{{_JOB}, receiver="otlp"}}[$__rate_interval]))'


def _sent() -> timeseries.Panel:
    panel = panels.graph(
        "Passed on", "What has left, by where it goes to, of each signal.", panels.PER_SECOND
    )
    for what, name in _SIGNALS.items():
        sent = f"rate(otelcol_exporter_sent_{what}{{{_JOB}}}[$__rate_interval])"
        panel.with_target(ranged(f"sum by (exporter) ({sent})", f"{name} to {{{{exporter}}}}"))
    return panel


def _failed() -> timeseries.Panel:
    panel = panels.graph(
        "Lost",
        "What a backend refused for good, and what found its queue full.",
        panels.PER_SECOND,
    )
    for why, word in (("send_failed", "refused"), ("enqueue_failed", "no room")):
        for what in _QUEUED:
            rate = f"sum(rate(otelcol_exporter_{why}_{what}{{{_JOB}}}[$__rate_interval]))"
            panel.with_target(ranged(_zero_filled(rate), f"{_SIGNALS[what]}, {word}"))
    return panel


def _queues() -> timeseries.Panel:
    return (
        panels.graph(
            "Queues",
            "Share of each queue on disk that is taken. It fills while a backend is away.",
            panels.RATIO,
        )
        .with_target(ranged(f"max by (instance, exporter) ({_SHARE})", "{{instance}} {{exporter}}"))
        .max(1)
    )


def _kept() -> timeseries.Panel:
    decided = f"otelcol_processor_tail_sampling_global_count_traces_sampled{{{_JOB}}}"
    return panels.graph(
        "Traces kept and left out",
        "Decisions of tail sampling: every trace that failed, was slow or is rare, and a share of"
        " the rest is kept.",
        panels.PER_SECOND,
    ).with_target(ranged(f"sum by (decision) (rate({decided}[$__rate_interval]))", "{{decision}}"))


def _memory() -> timeseries.Panel:
    return panels.graph(
        "Memory of the collector",
        "Resident memory. Above MEMORY_LIMIT_MIB, 800 MiB, nothing more is taken.",
        panels.BYTES,
    ).with_target(ranged(f"otelcol_process_memory_rss{{{_JOB}}}", "{{instance}}"))


def _cpu() -> timeseries.Panel:
    used = f"rate(otelcol_process_cpu_seconds{{{_JOB}}}[$__rate_interval])"
    return panels.graph(
        "CPU of the collector", "Cores that each of the two collectors uses.", panels.COUNT
    ).with_target(ranged(used, "{{instance}}"))


def _rise(counter: str) -> str:
    """Return what a counter rose by in an hour, the number that it began with included.

    These begin with the first loss, which `increase` alone would not see.
    """
    return f"sum(({counter} unless {counter} offset 1h) or increase({counter}[1h]))"


def _zero_filled(expr: str) -> str:
    """Return *expr*, or 0: what a collector that is up does not show, it never counted."""
    return f"({expr} or 0 * max(up{{{_JOB}}} == 1))"
