"""What the pipeline counts of itself, and what its page says of its settings."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed
from redis import Redis

from etl import meters, tasks
from etl.lake import Lake
from etl.leases import Leases
from etl.model import Chunk, RowId
from etl.settings import Settings
from metered import global_reader, read

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"
SOURCES = Path(meters.__file__).parent
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def counted(metric: str) -> dict[tuple[str, ...], float]:
    """Return what is new of a counter, by its labels' values in order of their names."""
    points = read(global_reader())
    return {
        tuple(str(value) for _, value in sorted(point.labels.items())): point.value
        for point in points
        if point.metric == metric
    }


def run(attempts: int) -> TaskRun:
    """Return a task run that was started so often."""
    nobody = UUID(int=0)
    return TaskRun(flow_run_id=nobody, task_key="t", dynamic_key="0", run_count=attempts)


@pytest.mark.parametrize(("attempts", "expected"), [(1, {}), (3, {("failed", "rates"): 1})])
def test_failure_counts_where_it_was_tried_again(
    attempts: int, expected: dict[tuple[str, ...], float]
) -> None:
    """What failed at once was no attempt to recover."""
    counted("etl_recoveries_total")
    meters.count_failure(tasks.rates, run(attempts), Failed())

    assert expected == counted("etl_recoveries_total")


@pytest.mark.parametrize(("attempt", "expected"), [(1, {}), (2, {("recovered", "lease"): 1})])
def test_second_lease_is_a_recovery(attempt: int, expected: dict[tuple[str, ...], float]) -> None:
    """The first one is just work."""
    counted("etl_recoveries_total")
    meters.count_takeover(attempt, "recovered")

    assert expected == counted("etl_recoveries_total")


@pytest.mark.real
def test_chunk_that_is_committed_is_no_recovery(
    redis: Redis, redis_url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets the lease after its holder was done takes nothing over."""
    monkeypatch.setenv("ETL_REDIS_URL", redis_url)
    monkeypatch.setenv("ETL_DESTINATION", str(lake.destination))
    chunk = Chunk(RowId(1, 0), RowId(9, 0), 9, 900)
    first = Leases(redis, lake.client, 60).take(chunk)
    assert first
    first.release()
    lake.folder.mkdir(parents=True)
    lake.part(chunk.name).touch()
    counted("etl_recoveries_total")
    done = tasks.work_chunk.fn(chunk, tasks.Job(lake.client, NOW, NOW, {}))

    assert (None, {}) == (done, counted("etl_recoveries_total"))


def test_outside_of_a_task_nothing_is_a_recovery() -> None:
    """Functions of steps may be called by anybody."""
    counted("etl_recoveries_total")
    meters.count_success()

    assert {} == counted("etl_recoveries_total")


def test_every_series_begins_at_0() -> None:
    """Else `increase()` would not see the first of them."""
    counted("etl_rows_total")
    meters.start_counting("acme")
    rows, recoveries = read_both()

    assert {(("acme", each), 0.0) for each in ("accepted", "rejected", "replayed")} == rows
    assert {((out, step), 0.0) for step in meters.STEPS for out in ("recovered", "failed")} == (
        recoveries
    )


def read_both() -> tuple[set[tuple[tuple[str, ...], float]], set[tuple[tuple[str, ...], float]]]:
    """Return what is new of both counters."""
    points = read(global_reader())
    found: dict[str, set[tuple[tuple[str, ...], float]]] = {
        "etl_rows_total": set(),
        "etl_recoveries_total": set(),
    }
    for point in points:
        labels = tuple(str(value) for _, value in sorted(point.labels.items()))
        found.setdefault(point.metric, set()).add((labels, point.value))
    return found["etl_rows_total"], found["etl_recoveries_total"]


def test_every_step_that_is_counted_is_known() -> None:
    """`STEPS` has what the code counts, and nothing else."""
    code = "\n".join(path.read_text() for path in SOURCES.glob("*.py"))
    named = set(re.findall(r'step="(\w+)"', code))
    retried = set(re.findall(r"HEALING,?\s*\)\ndef (\w+)\(", code))

    assert set(meters.STEPS) == named | retried


def test_page_has_every_setting() -> None:
    """With its default and its meaning, as the code has them."""
    told = re.findall(r"^\| `(ETL_\w+)` \| `(.+?)` \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    fields = [
        (str(each.validation_alias), _shown(each.default), each.description)
        for each in Settings.model_fields.values()
    ]

    assert fields == told


def _shown(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("name", ["etl_rows_total", "etl_recoveries_total"])
def test_page_explains_every_metric(name: str) -> None:
    """What is counted is on the page."""
    assert f"`{name}`" in PAGE.read_text()
