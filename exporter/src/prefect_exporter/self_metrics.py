"""What the exporter says of itself, of each collector and of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect_exporter import __version__
from prefect_exporter.metrics import Family, Kind, Samples
from prefect_exporter.runner import Runner
from prefect_exporter.status import Configuration


@dataclass(frozen=True, slots=True)
class Process:
    """The process and its ledger, which all targets share.

    Args:
        ledger_bytes: The size of the ledger's file.
        series: Counted series.
        held_series: Those of them that are still published at 0.
        ledger_replaced_seconds: When a damaged ledger was last moved aside; 0 where none was.
        configuration: How the targets are set; None where nothing reads them anew.
    """

    ledger_bytes: int
    series: int
    held_series: int
    ledger_replaced_seconds: float
    configuration: Configuration | None = None


def _success(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        if (succeeded := runner.status().succeeded) is not None:
            yield (runner.collector.name,), float(succeeded)


def _duration(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        yield (runner.collector.name,), runner.status().duration_seconds


def _last_success(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        if (last := runner.status().last_success) is not None:
            yield (runner.collector.name,), last.timestamp()


def _polls(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        for status, number in runner.polls.items():
            yield (runner.collector.name, status), float(number)


def _truncated(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        if runner.state is not None:
            yield (runner.collector.name,), float(runner.state.truncated)


def _folded(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        if runner.state is not None:
            yield (runner.collector.name,), float(runner.state.folded)


def _supported(runners: Sequence[Runner[Any]]) -> Samples:
    for runner in runners:
        yield (runner.collector.name,), float(runner.status().supported)


COLLECTOR_FAMILIES = (
    Family(
        "prefect_exporter_collector_success",
        Kind.GAUGE,
        "Whether the collector's last poll succeeded; its last good values stay where not.",
        ("collector",),
        _success,
    ),
    Family(
        "prefect_exporter_collector_duration_seconds",
        Kind.GAUGE,
        "How long the collector's last poll took.",
        ("collector",),
        _duration,
    ),
    Family(
        "prefect_exporter_collector_last_success_timestamp_seconds",
        Kind.GAUGE,
        "When the collector's last good poll ended: the age of its values.",
        ("collector",),
        _last_success,
    ),
    Family(
        "prefect_exporter_collector_polls_total",
        Kind.COUNTER,
        "Polls of the collector since the exporter started.",
        ("collector", "status"),
        _polls,
    ),
    Family(
        "prefect_exporter_truncated",
        Kind.GAUGE,
        "Whether Prefect had more than the collector's limit let it read.",
        ("collector",),
        _truncated,
    ),
    Family(
        "prefect_exporter_folded",
        Kind.GAUGE,
        "Things of the collector's last poll without a name of their own, for a limit of names.",
        ("collector",),
        _folded,
    ),
    Family(
        "prefect_exporter_collector_supported",
        Kind.GAUGE,
        "Whether Prefect has what the collector asks for.",
        ("collector",),
        _supported,
    ),
)


def _build_info(_process: Process) -> Samples:
    yield (__version__,), 1.0


def _ledger_bytes(process: Process) -> Samples:
    yield (), float(process.ledger_bytes)


def _series(process: Process) -> Samples:
    yield (), float(process.series)


def _held(process: Process) -> Samples:
    yield (), float(process.held_series)


def _replaced(process: Process) -> Samples:
    yield (), process.ledger_replaced_seconds


def _reload_success(process: Process) -> Samples:
    if process.configuration is not None:
        yield (), float(not process.configuration.problems)


def _reloaded(process: Process) -> Samples:
    if process.configuration is not None:
        yield (), process.configuration.loaded.timestamp()


PROCESS_FAMILIES = (
    Family(
        "prefect_exporter_build_info",
        Kind.GAUGE,
        "The version of the exporter.",
        ("version",),
        _build_info,
    ),
    Family(
        "prefect_exporter_ledger_bytes",
        Kind.GAUGE,
        "The size of the ledger's file.",
        (),
        _ledger_bytes,
    ),
    Family(
        "prefect_exporter_series",
        Kind.GAUGE,
        "Counted series; a histogram is one.",
        (),
        _series,
    ),
    Family(
        "prefect_exporter_held_series",
        Kind.GAUGE,
        "Counted series that are published at 0 until a scrape has seen that zero.",
        (),
        _held,
    ),
    Family(
        "prefect_exporter_ledger_replaced_timestamp_seconds",
        Kind.GAUGE,
        "When a damaged ledger was last moved aside since the exporter started; 0 where none was.",
        (),
        _replaced,
    ),
    Family(
        "prefect_exporter_config_reload_success",
        Kind.GAUGE,
        "Whether the targets could be used when they were last read; the last good ones go on.",
        (),
        _reload_success,
    ),
    Family(
        "prefect_exporter_config_last_reload_success_timestamp_seconds",
        Kind.GAUGE,
        "When the targets were last read and found good.",
        (),
        _reloaded,
    ),
)
