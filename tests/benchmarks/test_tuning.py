"""How settings are compared, and that copied runs are as whole as the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.alternating import Figures, compare
from bench.disk import Disk, disk_table
from bench.multiplied import Size
from bench.tuning_load import Mix
from bench.tuning_place import DAYS, Place, place
from demo.processes import wait_until

_RUNS = 40


def test_each_round_begins_with_the_other_way() -> None:
    """Both ways warm up, and then take turns in being the first."""
    order: list[str] = []

    def way(name: str) -> Callable[[], Figures]:
        def lap() -> Figures:
            order.append(name)
            return {"s": 1.0}

        return lap

    compare("x", (("a", way("a")), ("b", way("b"))), rounds=3)

    assert "ab ba ab ba" == " ".join(a + b for a, b in zip(order[::2], order[1::2], strict=True))


def test_ratio_is_of_one_round() -> None:
    """A machine that slows down from round to round changes no ratio, and warming up counts not."""
    before, after = (iter([99.0, 1.0, 2.0, 4.0]), iter([7.0, 0.5, 1.0, 2.0]))

    compared = compare(
        "x", (("a", lambda: {"s": next(before)}), ("b", lambda: {"s": next(after)})), rounds=3
    )

    change = compared.changes["s"]
    assert (0.5, 0.5, 0.5) == (change.ratio.low, change.ratio.median, change.ratio.high)
    assert (1.0, 2.0, 4.0) == (change.before.low, change.before.median, change.before.high)


def test_disk_is_of_a_million() -> None:
    """Sizes are multiplied up to a million flow runs, and added."""
    table = disk_table(
        Disk(1000, {"flow_run": Size(1000, 1_000_000, 500_000), "log": Size(5000, 1_000_000, 0)})
    )

    assert table is not None
    assert ["1.5", "1.0", "2.5"] == [*table.columns[-1].cells]
    assert ["1.0", "5.0", ""] == [*table.columns[1].cells]


@pytest.fixture(name="there", scope="module")
def _there() -> Iterator[Place]:
    with place(_RUNS, lambda _said: None) as there:
        yield there


@pytest.mark.real
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "orphans",
    [
        "task_run where flow_run_id not in (select id from flow_run)",
        "task_run_state where task_run_id not in (select id from task_run)",
        "flow_run where state_id not in (select id from flow_run_state)",
        "log where flow_run_id not in (select id from flow_run)",
        "event_resources where event_id not in (select id from events)",
        (
            "events where event like 'prefect.flow-run.%'"
            " and right(resource_id, 36)::uuid not in (select id from flow_run)"
        ),
        (
            "events where event like 'prefect.task-run.%'"
            " and right(resource_id, 36)::uuid not in (select id from task_run)"
        ),
    ],
    ids=lambda orphans: " ".join(orphans.split()[:3]),
)
def test_copies_belong_together(there: Place, orphans: str) -> None:
    """Each copied row refers to rows of the same copy, and none of a run is missing."""
    assert there.value(f"select count(*) from {orphans}") == 0  # noqa: S608  # our own queries


@pytest.mark.real
@pytest.mark.timeout(600)
def test_copies_lie_before_the_real_runs(there: Place) -> None:
    """The copies are spread over the days before, each with a time of its own."""
    oldest = there.value("select extract(epoch from now() - min(end_time)) / 86400 from flow_run")
    old = "from flow_run where end_time < now() - interval '12 hours'"

    assert there.value(f"select count(*) {old}") == _RUNS
    assert there.value(f"select count(distinct end_time) {old}") == _RUNS
    assert DAYS <= oldest < DAYS + 0.1


@pytest.mark.real
@pytest.mark.timeout(600)
def test_load_leaves_what_real_runs_leave(there: Place) -> None:
    """A run of the load ends with its task runs, and nothing that was asked failed."""
    completed = "select count(*) from task_run where state_type = 'COMPLETED'"
    before = there.value(completed)
    with there.server("loaded") as server:
        figures = there.lap(server, Mix(runs=2, looks=1))
        wait_until(lambda: there.value(completed) == before + 10, within=60, what="task runs")

    assert figures["failed"] == 0
