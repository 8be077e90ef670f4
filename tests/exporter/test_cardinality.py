"""How many series one deployment can have at most."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from contexts import settings_of
from fakes import START_US, after_seconds
from fronts import plain
from prefect_exporter.collectors import build
from prefect_exporter.collectors.flow_runs_active import SPECIAL_STATES
from prefect_exporter.moments import SECOND
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.traffic import Traffic
from prefect_exporter.wire import ConcurrencyLimit, Schedule, Timing
from worlds import collecting, deployment, deployment_id, ended, prefect_of, put, run, waiting

ENDS = (
    ("COMPLETED", "Completed"),
    ("COMPLETED", "Cached"),
    ("FAILED", "Failed"),
    ("FAILED", "TimedOut"),
    ("CRASHED", "Crashed"),
    ("CANCELLED", "Cancelled"),
)
# A deployment whose runs end in every way, while others run, wait for a worker, a slot and a
# retry, and are late: as busy as one gets.
BUSY = (
    ("RUNNING", "Running"),
    ("RUNNING", "Retrying"),
    ("PENDING", "Pending"),
    ("PENDING", "InfrastructurePending"),
    ("SCHEDULED", "AwaitingConcurrencySlot"),
    ("SCHEDULED", "AwaitingRetry"),
    ("SCHEDULED", "Late"),
    ("CANCELLING", "Cancelling"),
)
BY_DEPLOYMENT: dict[str, Any] = {
    "deployment_id": deployment_id(1),
    "work_pool_name": "k8s",
    "work_queue_name": "default",
    "next_scheduled_start_time": after_seconds(-100),
}
# With every optional thing that a deployment can have: a limit, and all objectives.
EVERYTHING = deployment(
    1,
    "daily",
    created=after_seconds(-86_400),
    tags=["slo:fresh=2h", "slo:duration=30m", "slo:delay=5m", "slo:success=99%"],
    status="READY",
    schedules=[Schedule(Timing(cron="0 6 * * *"))],
    global_concurrency_limit=ConcurrencyLimit("deployment:1", 4, 0.0),
    work_pool_name="k8s",
    work_queue_name="default",
)


def series_of_one_deployment(folder: Path, under_way: tuple[tuple[str, str], ...]) -> Counter[str]:
    """Return how many series each metric has for a deployment of which everything is known."""
    prefect = prefect_of()
    put(prefect, EVERYTHING)
    with collecting(folder, prefect) as context:
        outages = Outages("test", lambda: 0.0)
        runners = [Runner(each, context, outages) for each in build(context.settings)]
        for runner in runners:
            run(runner.tick())
        for number, (state_type, name) in enumerate(ENDS):
            put(prefect, ended(number, 5, state_type, state_name=name, **BY_DEPLOYMENT))
        for number, (state_type, name) in enumerate(under_way):
            put(prefect, waiting(100 + number, state_type, name, **BY_DEPLOYMENT))
        prefect.now_us = START_US + 60 * SECOND
        for runner in runners:
            run(runner.tick())
        publisher = Publisher(runners, {"test": Traffic()}, context.store, hold_seconds=0.0)
        run(publisher.publish())
        text = plain(publisher.current.text).decode()
    samples = [line for line in text.splitlines() if 'deployment="daily"' in line]
    return Counter(line.partition("{")[0] for line in samples)


def test_busy_deployment_has_at_most_sixty_series(tmp_path: Path) -> None:
    """All outcomes, both durations, all objectives, and runs in three states at once are 60.

    Why its runs are late is one more, while they are.
    """
    series = series_of_one_deployment(tmp_path, BUSY[::3])
    causes = series.pop("prefect_flow_runs_late_by_cause")

    assert 60 >= series.total(), series
    assert 1 == causes


def test_busiest_deployment_has_ten_more(tmp_path: Path) -> None:
    """Each further state that runs are in at the same time adds two series, for that time."""
    series = series_of_one_deployment(tmp_path, BUSY)

    assert 71 >= series.total(), series


def test_names_of_the_users_own_make_no_series(tmp_path: Path) -> None:
    """However many state names there are, states have no more series than Prefect has names."""
    types = ("PENDING", "RUNNING", "PAUSED", "CANCELLING", "SCHEDULED")
    names = [f"mine {number}" for number in range(50)]
    under_way = tuple(product(types, names))
    series = series_of_one_deployment(tmp_path, under_way)

    assert len(types) == series["prefect_flow_runs_active"]


@pytest.mark.parametrize("setting", ["FLOW_RUN_BUCKETS", "TASK_RUN_BUCKETS", "START_DELAY_BUCKETS"])
def test_default_buckets_are_twelve_at_most(setting: str) -> None:
    """By default a histogram has 11 bounds and +Inf."""
    bounds = getattr(settings_of(), setting.lower())

    assert 12 >= len(bounds) + 1


def test_special_states_are_few() -> None:
    """The ``state`` label has ten values at most."""
    assert 10 > len(SPECIAL_STATES)
