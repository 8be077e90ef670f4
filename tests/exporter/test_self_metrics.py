"""What the exporter tells of itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes import START_US, FakePrefect
from prefect_exporter import __version__
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import Unreachable
from prefect_exporter.moments import SECOND, moment
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.self_metrics import COLLECTOR_FAMILIES, PROCESS_FAMILIES, Process
from prefect_exporter.status import Configuration
from worlds import collecting, prefect_of, run, text_of


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def runner_of(context: Context) -> Runner[Any]:
    """Return the runner of one collector."""
    (collector,) = (each for each in build(context.settings) if each.name == "flow_runs_late")
    return Runner(collector, context, Outages("test", lambda: 0.0))


RELOADED = "prefect_exporter_config_last_reload_success_timestamp_seconds"


def lines(runner: Runner[Any]) -> dict[str, float]:
    """Return what is told of one collector, by name and labels but the usual ones."""
    text = text_of(*(each.fill([("test", [runner])]) for each in COLLECTOR_FAMILIES))
    usual = 'collector="flow_runs_late",'
    found = (line.replace(usual, "").rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    return {name.replace('{target="test"}', ""): float(value) for name, value in found}


def test_good_poll_is_told(context: Context, prefect: FakePrefect) -> None:
    """Success, duration, time and count of polls are told."""
    runner = runner_of(context)
    run(runner.tick())
    prefect.now_us += SECOND

    assert {
        "prefect_exporter_collector_success": 1.0,
        "prefect_exporter_collector_duration_seconds": 0.0,
        "prefect_exporter_collector_last_success_timestamp_seconds": START_US / SECOND,
        'prefect_exporter_collector_polls_total{status="success",target="test"}': 1.0,
        'prefect_exporter_collector_polls_total{status="failure",target="test"}': 0.0,
        "prefect_exporter_truncated": 0.0,
        "prefect_exporter_folded": 0.0,
        "prefect_exporter_collector_supported": 1.0,
    } == lines(runner)


def test_failed_poll_is_told(context: Context, prefect: FakePrefect) -> None:
    """After a failure the last success stays told, and that the last poll was none."""
    runner = runner_of(context)
    run(runner.tick())
    prefect.down(Unreachable("flow_runs/filter", "connection refused"))
    prefect.now_us += 15 * SECOND
    with capture_logs():
        run(runner.tick())
    told = lines(runner)

    assert 0.0 == told["prefect_exporter_collector_success"]
    last = told["prefect_exporter_collector_last_success_timestamp_seconds"]
    assert START_US / SECOND == last


def test_collector_that_never_polled_tells_no_success(context: Context) -> None:
    """Before its first poll a collector has neither failed nor succeeded."""
    told = lines(runner_of(context))

    assert "prefect_exporter_collector_success" not in told
    assert "prefect_exporter_collector_last_success_timestamp_seconds" not in told
    assert "prefect_exporter_truncated" not in told


def test_ledger_is_told() -> None:
    """Size, series, what is held, and whether a damaged ledger was replaced."""
    process = Process(
        ledger_bytes=4096,
        series=10,
        held_series=3,
        ledger_replaced_seconds=1_795_262_400.0,
        configuration=Configuration(moment(START_US), ("targets.yaml: line 1: …",)),
    )
    text = text_of(*(each.fill([("test", process)]) for each in PROCESS_FAMILIES))

    assert [
        f'prefect_exporter_build_info{{target="test",version="{__version__}"}} 1.0',
        'prefect_exporter_ledger_bytes{target="test"} 4096.0',
        'prefect_exporter_series{target="test"} 10.0',
        'prefect_exporter_held_series{target="test"} 3.0',
        'prefect_exporter_ledger_replaced_timestamp_seconds{target="test"} 1.7952624e+09',
        'prefect_exporter_config_reload_success{target="test"} 0.0',
        f'{RELOADED}{{target="test"}} 1.7952624e+09',
    ] == [line for line in text.splitlines() if not line.startswith("#")]
