"""The benchmark's server: what it writes into PostgreSQL is what Prefect's API gives back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bench.latency import measure_latency
from bench.seeding import QUIET_SECONDS
from bench.site import Shape, Site, site
from demo.api import ask
from demo.postgres import start_postgres
from demo.sandbox import Sandbox

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SHAPE = Shape(flow_runs=30, tasks=2, flows=2, deployments=4, a_second=5.0)


@pytest.fixture(name="place", scope="module")
def _place() -> Iterator[Site]:
    with Sandbox() as sandbox, site(sandbox, start_postgres(sandbox), SHAPE) as place:
        yield place


def test_server_gives_back_what_was_written(place: Site) -> None:
    """The API reads every run of the history, each with its deployment, state and tasks."""
    # The live load of the other test ends later than any run of the history.
    before = datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS / 2)
    ended = {"end_time": {"before_": before.isoformat()}}
    with place.server.client() as client:
        rows = ask(client, "/flow_runs/filter", flow_runs=ended)
        tasks = ask(client, "/task_runs/count", flow_runs=ended)

    assert 30 == len(rows)
    assert 60 == tasks
    assert all(row["deployment_id"] and row["state"]["type"] == row["state_type"] for row in rows)


def test_every_live_completion_is_timed(place: Site) -> None:
    """The latency is that of each run that ended while the exporter polled, one by one."""
    latency = measure_latency(place, interval_seconds=1, polls=6)

    assert latency.completions == latency.ended
    assert latency.seconds.low >= 0
