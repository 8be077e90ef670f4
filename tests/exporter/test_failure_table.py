"""The whole exporter against a Prefect that misbehaves: good values stay, none is made up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import stamina
from structlog.testing import capture_logs

from contexts import settings_of
from faults import FAULTS
from fronts import plain
from misbehaving import Fault, MisbehavingPrefect
from prefect_exporter.service import Service

COMPLETED = (
    'prefect_flow_runs_finished_total{deployment="nightly",flow="etl",outcome="completed",'
    'subflow="false",target="default"}'
)
# Of these, /ready can still make sense: any JSON there says yes, and 503 says not yet. And to be
# told to wait says nothing of whether the server is up.
STILL_UP = {Fault.WRONG_TYPES, Fault.WRONG_SHAPE, Fault.UNAVAILABLE, Fault.THROTTLED}
# The server's collector has its answer: it is down. The others have nothing to ask of now: no
# minute or window is closed, and schedules are reckoned from what was listed.
SILENT = {
    "server",
    "flow_run_audit",
    "task_run_audit",
    "deployment_history",
    "deployment_schedules",
    "events",
}
# What Prefect told of runs; ages and the exporter's own state move on.
MEASURED = re.compile(
    r"prefect_(flow|task|work_pool|deployment)[a-z_]*(?<!oldest_active_seconds)\{"
)


@pytest.fixture(name="quick")
def _quick() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


async def poll(service: Service) -> dict[str, float]:
    """Let every collector poll once and a scrape take it; return what is published then."""
    await asyncio.gather(*(runner.tick() for runner in service.runners))
    for _ in range(2):
        await service.publisher.publish()
        service.served(service.exposition().version)
    lines = plain(service.exposition().text).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in pairs}


def measured(samples: dict[str, float]) -> dict[str, float]:
    """Return what stands for runs and deployments."""
    return {name: value for name, value in samples.items() if MEASURED.match(name)}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", list(Fault), ids=str)
def test_fault_keeps_what_was_good(fault: Fault, tmp_path: Path) -> None:
    """Last good values stay, the failure shows by its kind, and a good answer ends it."""
    asyncio.run(_suffer(fault, tmp_path))


async def _suffer(fault: Fault, tmp_path: Path) -> None:
    async with MisbehavingPrefect() as prefect:
        settings = settings_of(STATE_PATH=str(tmp_path / "ledger")).model_copy(
            update={
                "api_url": prefect.url,
                # Whole polls of every collector have to be done in it too, on a busy machine.
                "request_timeout_seconds": max(5.0, FAULTS[fault].deadline_seconds),
                "request_attempts": 1,
            }
        )
        async with Service(settings) as service:
            prefect.prefect.add_flow_run("RUNNING")
            await poll(service)
            prefect.prefect.add_flow_run(at=datetime.now(UTC))
            good = await poll(service)
            await prefect.misbehave(fault)
            with capture_logs() as logs:
                bad = await poll(service)
            statuses = [row.status() for row in service.runners]
            await prefect.behave()
            prefect.prefect.add_flow_run(at=datetime.now(UTC))
            await asyncio.sleep(1 if fault is Fault.THROTTLED else 0)
            again = await poll(service)

    asking = [row for row in statuses if row.name not in SILENT]
    assert 1.0 == good[COMPLETED]
    assert measured(good) == measured(bad)
    assert {FAULTS[fault].kind} == {row.error_kind for row in asking}
    assert {0.0} == {bad[success(row.name)] for row in asking}
    assert bad[f'prefect_exporter_api_errors_total{{kind="{FAULTS[fault].kind}",target="default"}}']
    # The one zero that was measured.
    assert float(fault in STILL_UP) == bad['prefect_server_up{target="default"}']
    assert [] == [line for line in logs if line["event"] == "poll.broke" or "exc_info" in line]
    told = [line["reason"].partition(": ")[2] for line in logs if line["log_level"] == "warning"]
    assert told
    assert len(set(told)) == len(told)
    assert 2.0 == again[COMPLETED]
    assert {1.0} == {again[success(row.name)] for row in asking}


def success(collector: str) -> str:
    """Return the series that says whether a collector's last poll succeeded."""
    return f'prefect_exporter_collector_success{{collector="{collector}",target="default"}}'


@pytest.mark.usefixtures("quick")
def test_prefect_that_never_answered_gives_no_numbers(tmp_path: Path) -> None:
    """Before the first good answer there is no series of runs, least of all a zero."""

    async def run() -> dict[str, float]:
        async with MisbehavingPrefect() as prefect:
            await prefect.misbehave(Fault.SERVER_ERROR)
            settings = settings_of(STATE_PATH=str(tmp_path / "ledger")).model_copy(
                update={"api_url": prefect.url, "request_attempts": 1}
            )
            async with Service(settings) as service:
                samples = await poll(service)
                assert not service.status().ready
                return samples

    samples = asyncio.run(run())

    assert {} == measured(samples)
