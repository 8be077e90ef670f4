"""Panels of Prometheus and Alertmanager."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, timeseries

from dashboards import palette, panels
from dashboards.board import Row
from dashboards.sources import each_interval, instant, ranged


def prometheus() -> Row:
    """Return what Prometheus reads, keeps and reckons."""
    first = [_down(), _series(), _disk(), _broken_rules()]
    graphs = [_samples(), _scrapes(), _rules(), _queries()]
    return Row("Prometheus", [*first, *graphs], folded=True)


def alertmanager() -> Row:
    """Return what Alertmanager holds, and whom it could not tell."""
    first = [_silences(), _unsent(), _undelivered()]
    return Row("Alertmanager", [*first, _groups(), _alerts(), _sent()], folded=True)


def _down() -> stat.Panel:
    return (
        panels.stat_panel(
            "Targets down", "Programs that Prometheus knows and that do not answer.", panels.COUNT
        )
        .with_target(instant("sum(up == bool 0)"))
        .thresholds(palette.rising(1, 3))
    )


def _series() -> stat.Panel:
    return (
        panels.stat_panel(
            "Series in memory",
            "Series that Prometheus holds now; some 3 kB of memory each.",
            panels.COUNT,
        )
        .with_target(instant("sum(prometheus_tsdb_head_series)"))
        .thresholds(palette.rising(150_000, 250_000))
    )


def _disk() -> stat.Panel:
    blocks, wal = "prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_wal_storage_size_bytes"
    return panels.stat_panel(
        "Prometheus on disk",
        "Blocks and write-ahead log. It keeps 30 days, 10 GB at most, unless told otherwise.",
        panels.BYTES,
    ).with_target(instant(f"sum({blocks}) + sum({wal})"))


def _broken_rules() -> stat.Panel:
    return (
        panels.stat_panel(
            "Rules that failed, last hour",
            "Evaluations of recording rules and alerts that ended in an error. Such an alert"
            " cannot fire.",
            panels.COUNT,
        )
        .with_target(instant("round(sum(increase(prometheus_rule_evaluation_failures_total[1h])))"))
        .thresholds(palette.rising(1, 10))
    )


def _samples() -> timeseries.Panel:
    return panels.graph(
        "Samples by job",
        "Samples of one scrape of all targets of the job. A jump: new series, by a label that has"
        " begun to grow.",
        panels.COUNT,
    ).with_target(ranged("sum by (job) (scrape_samples_scraped)", "{{job}}"))


def _scrapes() -> timeseries.Panel:
    return panels.graph(
        "Time of a scrape",
        "How long the slowest target of each job took to answer; after 10 s it is given up.",
        panels.SECONDS,
    ).with_target(ranged("max by (job) (scrape_duration_seconds)", "{{job}}"))


def _rules() -> bargauge.Panel:
    took = "topk(10, max by (rule_group) (prometheus_rule_group_last_duration_seconds))"
    named = f'label_replace({took}, "group", "$1", "rule_group", ".*;(.*)")'
    return (
        panels.ranking(
            "Slowest groups of rules",
            "How long the last evaluation of each group took, the ten slowest. It has 15 s.",
            panels.SECONDS,
        )
        .with_target(instant(named, "{{group}}"))
        .thresholds(palette.rising(1, 10))
    )


def _queries() -> timeseries.Panel:
    took = 'prometheus_engine_query_duration_seconds{slice="inner_eval"}'
    return panels.graph(
        "Time of queries",
        "How long Prometheus reckoned for queries of boards and rules in the last ten minutes:"
        " half, 90 % and 99 % of them took no longer.",
        panels.SECONDS,
    ).with_target(ranged(f"max by (quantile) ({took})", "quantile {{quantile}}"))


def _silences() -> stat.Panel:
    return panels.stat_panel(
        "Silences",
        "Silences in force: somebody does not want to be told of something.",
        panels.COUNT,
    ).with_target(instant('sum(alertmanager_silences{state="active"})'))


def _unsent() -> stat.Panel:
    return (
        panels.stat_panel(
            "Messages not sent, last hour",
            "Messages to people that Alertmanager could not deliver, after all tries.",
            panels.COUNT,
        )
        .with_target(instant("round(sum(increase(alertmanager_notifications_failed_total[1h])))"))
        .thresholds(palette.rising(1, 10))
    )


def _undelivered() -> stat.Panel:
    dropped = "increase(prometheus_notifications_dropped_total[1h])"
    return (
        panels.stat_panel(
            "Alerts not delivered, last hour",
            "Alerts that Prometheus could not hand over to Alertmanager. It sends them again as"
            " long as they fire.",
            panels.COUNT,
        )
        .with_target(instant(f"round(sum({dropped}))"))
        .thresholds(palette.rising(1, 10))
    )


def _groups() -> stat.Panel:
    return panels.stat_panel(
        "Groups of alerts",
        "Groups that Alertmanager sends one message for, instead of one for each alert.",
        panels.COUNT,
    ).with_target(instant("sum(alertmanager_dispatcher_aggregation_groups)"))


def _alerts() -> timeseries.Panel:
    return panels.graph(
        "Alerts in Alertmanager",
        "Alerts that it holds: active ones, and those that a silence or a larger trouble keeps"
        " quiet.",
        panels.COUNT,
    ).with_target(ranged("sum by (state) (alertmanager_alerts)", "{{state}}"))


def _sent() -> timeseries.Panel:
    panel = panels.bars(
        "Messages to people",
        "Messages that Alertmanager tried to send in the time of each bar, and those of them that"
        " failed after all tries.",
    )
    for name, what in (("tried", "notifications"), ("failed", "notifications_failed")):
        sent = each_interval(f"alertmanager_{what}_total")
        panel.with_target(ranged(f"round(sum({sent}))", name))
    return panels.colored(panel, {"failed": palette.BAD})
