"""What real runs of Prefect's engines have on their meters."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from demo.processes import wait_until
from metered import Point
from traced_scene import TESTS, Scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(name="points", scope="module")
def _points(scene: Scene) -> list[Point]:
    """Return what a process that runs `metered_flows` has recorded."""
    file = scene.sandbox.subfolder("points") / "points.json"
    env = scene.sandbox.prefect_environment(
        "meters",
        **scene.server.client_environment,
        PYTHONPATH=str(TESTS),
        OTEL_TRACES_EXPORTER="none",
        PREFECT_LOGGING_LEVEL="CRITICAL",
        POINTS=str(file),
    )
    process = scene.start("meters", [sys.executable, "-m", "metered_flows"], env)
    wait_until(lambda: not process.running, within=200, what="the end of the flows")
    assert process.wait() == 0, process.log_tail()
    return [Point(**point) for point in json.loads(file.read_text())]


def counted(points: list[Point], metric: str, *labels: str) -> Counter[tuple[object, ...]]:
    """Add up a metric's points by some of their labels."""
    total: Counter[tuple[object, ...]] = Counter()
    for point in points:
        if point.metric == metric:
            key = tuple(point.labels[label] for label in labels)
            total[key] += point.count if metric.endswith("bytes") else int(point.value)
    return total


def test_attempts(points: list[Point]) -> None:
    """Each start and each retry of flows and tasks is one; a child process has its own."""
    assert {
        ("good", ""): 1,
        ("good", "move"): 2,
        ("good", "wait"): 1,
        ("good", "pages"): 1,
        ("child", ""): 1,
        ("retried", ""): 2,
        ("bad", ""): 1,
        ("bad", "flaky"): 3,
        ("bad", "refuse"): 1,
        ("timing-out", ""): 1,
        ("timing-out", "slow"): 1,
        ("pooled", ""): 1,
    } == counted(points, "prefect_sdk_attempts_total", "flow", "task")


def test_errors(points: list[Point]) -> None:
    """Each attempt that raised, and each run that failed without raising, counts once."""
    found = counted(points, "prefect_sdk_errors_total", "flow", "task")

    assert {
        ("retried", ""): 1,
        ("bad", "flaky"): 2,
        ("bad", "refuse"): 1,
        ("bad", ""): 1,
        ("timing-out", "slow"): 1,
    } == found


def test_errors_are_sorted(points: list[Point]) -> None:
    """A timeout is one, and the same failure of the same code has one fingerprint."""
    timeouts = counted(points, "prefect_sdk_errors_total", "category")[("timeout",)]
    fingerprints = counted(points, "prefect_sdk_errors_total", "task", "fingerprint")

    assert 1 == timeouts
    assert [2] == [n for (task, _), n in fingerprints.items() if task == "flaky"]


def test_io(points: list[Point]) -> None:
    """Records and bytes are of the task that moved them, from where to where it says."""
    labels = ("flow", "task", "source", "destination")
    moved = ("good", "move", "s3://raw", "s3://lake")

    assert {moved: 5} == counted(points, "prefect_sdk_io_records_total", *labels)
    assert {moved: 50} == counted(points, "prefect_sdk_io_bytes_total", *labels)


def test_memory_and_time_are_those_of_outermost_runs(points: list[Point]) -> None:
    """Neither a subflow nor a task of this process has a share of its own."""
    peaks = counted(points, "prefect_sdk_process_peak_memory_bytes", "flow", "task")
    cpu = {p.labels["flow"] for p in points if p.metric == "prefect_sdk_process_cpu_seconds_total"}
    flows = ("good", "retried", "bad", "timing-out", "pooled")

    assert {(name, ""): 1 for name in flows} == peaks
    assert set(flows) == cpu


def test_synchronous_tasks_have_thread_time(points: list[Point]) -> None:
    """Asynchronous ones are left out."""
    found = {
        p.labels["task"] for p in points if p.metric == "prefect_sdk_task_run_cpu_seconds_total"
    }

    assert {"move", "pages", "flaky", "refuse"} == found


def test_measured_function_of_a_task(points: list[Point]) -> None:
    """Each of its calls is timed, in the task that `submit` runs in a thread, too."""
    (point,) = [p for p in points if p.metric == "prefect_sdk_function_duration_seconds"]

    assert (2, "success") == (point.count, point.labels["outcome"])


def test_every_point_leads_to_a_trace(points: list[Point]) -> None:
    """What a run records has an exemplar with the id of a span."""
    without = {p.metric for p in points if not p.traces}

    assert set() == without
