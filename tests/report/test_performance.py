"""The performance section: its tables, charts and paragraphs, and what they are made of."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest

from prefect_exporter.moments import DAY as DAY_US
from prefect_exporter.report.model import Section, Shape
from prefect_exporter.report.performance.lengths import lengths
from prefect_exporter.report.performance.load import load
from prefect_exporter.report.performance.retrying import retrying, worst_task
from prefect_exporter.report.performance.slowing import slower_task, slowing
from prefect_exporter.report.performance.tasks import task_times
from prefect_exporter.report.performance.waits import queue_waits
from prefect_exporter.report.question import Period
from prefect_exporter.report.sections.performance import section
from report.world import DAY, HOUR, World
from report.worlds import NOW_US, WorldBuilder, workspace


def _hourly(
    world: World, name: str, seconds: list[float], *, until_ago: float = 0, every: float = HOUR
) -> UUID:
    """Plant a run an hour, the last one *until_ago* seconds ago."""
    flow = world.flow(name)
    for number, took in enumerate(seconds):
        ended_ago = until_ago + (len(seconds) - number - 1) * every
        world.run(flow, ended_ago=ended_ago + 1, seconds=took)
    return flow


def _cells(found: Section, table: str) -> list[tuple[object, ...]]:
    (rows,) = [each.rows for each in found.tables if each.id == table]
    return [tuple(row.cells) for row in rows]


def test_empty_workspace_says_so() -> None:
    """Without a run there is one sentence, and neither tables nor charts."""
    with workspace() as world:
        found = section(world.workspace)

    assert found.paragraphs == ("No flow run completed in this time.",)
    assert (found.tables, found.charts) == ((), ())


def test_slowest_comes_first_with_its_share() -> None:
    """The longest p95 comes first; failed runs count in the hours and nowhere else."""
    with workspace() as world:
        _hourly(world, "quick", [360.0] * 5)
        slow = _hourly(world, "slow", [3600.0, 1800.0])
        world.run(slow, ended_ago=5, seconds=3600, state="Failed")
        found = section(world.workspace)

    expected: list[tuple[object, ...]] = [
        ("slow", 2, 2700, pytest.approx(3510), 3600, 2.5, pytest.approx(2.5 / 3)),
        ("quick", 5, 360, 360, 360, 0.5, pytest.approx(0.5 / 3)),
    ]
    assert _cells(found, "slowest") == expected
    assert "slow took 83 % of it, in 2 completed runs" in found.paragraphs[0]


def test_runs_outside_of_the_period_do_not_count() -> None:
    """What ended before, or goes on, is in no length."""
    with workspace() as world:
        flow = _hourly(world, "etl", [10.0])
        world.run(flow, ended_ago=8 * DAY, seconds=500)
        world.run(flow, ended_ago=100, seconds=500, state="Running")
        (found,) = lengths(world.workspace)

    assert (found.runs, found.longest) == (1, 10)


def test_most_variable_needs_runs() -> None:
    """Of a few runs a p95 says nothing, so they are not in that table."""
    with workspace() as world:
        _hourly(world, "few", [1.0, 100.0] * 9)
        _hourly(world, "many", [10.0] * 18 + [100.0] * 2)
        found = section(world.workspace)

    ((name, runs, p50, _, spread, _),) = _cells(found, "most-variable")
    assert (name, runs, p50) == ("many", 20, 10)
    assert spread == pytest.approx(10)


def test_slower_flow_is_found_with_its_date_and_task() -> None:
    """The change is dated by the first run after it, and by the task that makes it up."""
    with workspace() as world:
        flow = world.flow("etl")
        for ago in range(40, 0, -1):
            seconds = 100.0 if ago > 15 else 200.0
            run = world.run(flow, ended_ago=ago * HOUR, seconds=seconds + ago % 3)
            world.task(run, "load", seconds=seconds - 50)
            world.task(run, "clean", seconds=20 + ago % 7)
        (found,) = slowing(world.workspace)
        task = slower_task(world.workspace, found)

    assert found.changed_us == NOW_US - 15 * 3600 * 1_000_000 - 200 * 1_000_000
    assert (found.runs, found.runs_after) == (40, 15)
    assert (found.before, found.after, found.p < 0.001) == (101, 201, True)
    assert task is not None
    assert (task.name, task.before, task.after) == ("load", 50, 150)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param([100.0] * 40, id="steady"),
        pytest.param([200.0] * 20 + [100.0] * 20, id="faster"),
        pytest.param([100.0] * 20 + [120.0] * 20, id="a-fifth-slower"),
        pytest.param([10.0] * 20 + [19.0] * 20, id="nine-seconds"),
        pytest.param([100.0] * 9 + [200.0] * 10, id="too-few-runs"),
        pytest.param([100.0] * 20 + [200.0] * 16 + [100.0] * 6, id="came-back"),
        pytest.param([100.0] * 47 + [200.0] * 3, id="three-slow-ones"),
        pytest.param([100.0, 200.0] * 20, id="every-other"),
        pytest.param([100.0] * 14 + [200.0] * 150, id="quick-for-half-a-day"),
        pytest.param(([100.0] * 16 + [200.0] * 8) * 7, id="slow-each-night"),
    ],
)
def test_what_is_not_slower_is_not_told(seconds: list[float]) -> None:
    """Neither chance nor rhythm nor what came back is a new speed."""
    with workspace() as world:
        _hourly(world, "etl", seconds)

        assert slowing(world.workspace) == []


def test_before_is_looked_at_where_it_is_compared() -> None:
    """A change at the beginning of the period is seen by the runs before it, and only then."""
    before = [100.0] * 12 * 7
    for compare, expected in ((True, 1), (False, 0)):
        with workspace(compare=compare) as world:
            _hourly(world, "etl", [*before, *[200.0] * 167])

            assert len(slowing(world.workspace)) == expected


def test_change_is_seen_at_any_time_of_the_week() -> None:
    """Also where all slow runs lie in one weekend and all that are quick on a weekend before it."""
    seconds = [60.0 + each % 5 for each in range(88)] + [180.0] * 16
    with workspace(period=Period(NOW_US - 21 * DAY_US, NOW_US)) as world:
        flows = [
            _hourly(world, f"etl-{hour}", seconds, until_ago=hour * HOUR, every=3 * HOUR)
            for hour in range(7 * 24)
        ]

        assert {flow.bytes for flow in flows} == {
            each.subject.flow_id for each in slowing(world.workspace)
        }


def test_many_flows_do_not_make_one_slower() -> None:
    """The more flows are looked at, the surer one has to be: else chance would accuse some."""
    suspicious = [100.0] * 8 + [130.0, 100.0, 130.0, 100.0, 130.0] + [130.0] * 9
    with workspace() as world:
        _hourly(world, "suspicious", suspicious, every=HOUR / 4)
        alone = len(slowing(world.workspace))
    with workspace() as world:
        _hourly(world, "suspicious", suspicious, every=HOUR / 4)
        for number in range(60):
            _hourly(world, f"steady-{number}", [100.0 + i * 7 % 5 for i in range(20)])

        assert (alone, len(slowing(world.workspace))) == (1, 0)


def test_waits_are_by_queue_and_only_of_what_workers_start() -> None:
    """Runs without a deployment, and those that started before, are not in them."""
    with workspace() as world:
        world.pool("k8s")
        world.queue("k8s", "fast")
        flow = world.flow("etl")
        slow = world.deployment(flow, "slow", pool="k8s")
        fast = world.deployment(flow, "fast", pool="k8s", queue="fast")
        for wait in (10, 20, 30):
            world.run(flow, slow, ended_ago=60, seconds=5, wait=wait)
        world.run(flow, fast, ended_ago=60, seconds=5, wait=1)
        world.run(flow, fast, ended_ago=60, seconds=7 * DAY, wait=900)
        world.run(flow, ended_ago=60, wait=500, pool="k8s", queue="fast")
        first, second = queue_waits(world.workspace)

    assert (first.work_pool, first.work_queue, first.p50, first.longest) == (
        "k8s",
        "default",
        20,
        30,
    )
    assert (second.work_queue, list(second.waits)) == ("fast", [1])


def test_retries_cost_the_attempts_that_failed() -> None:
    """Two of three attempts were for nothing; a task's retries count where the flow had none."""
    with workspace() as world:
        flow = world.flow("etl")
        retried = world.run(flow, ended_ago=60, seconds=300, attempts=3)
        world.task(retried, "load", seconds=200, attempts=2)
        once = world.run(flow, ended_ago=60, seconds=100)
        world.task(once, "load", seconds=80, attempts=4)
        world.task(once, "other", seconds=40, attempts=2)
        _hourly(world, "without", [5.0])
        (found,) = retrying(world.workspace)
        task = worst_task(world.workspace, found.subject)

    assert (found.runs, found.retried, found.retries, found.saved) == (2, 1, 2, 1)
    assert (found.lost, found.task_retries, found.task_lost) == (200, 4, 80)
    assert task == "load"


def test_tasks_share_the_time_of_their_flow() -> None:
    """One after the other a task takes as long as its runs together; at once, as they span."""
    with workspace() as world:
        flow = world.flow("etl")
        run = world.run(flow, ended_ago=60, seconds=100)
        for number in range(4):
            world.task(run, "loop", seconds=10, after=number * 10)
            world.task(run, "mapped", seconds=20, after=50)
        child = world.flow("child")
        world.run(child, ended_ago=60, seconds=50, parent=run)
        failed = world.run(flow, ended_ago=60, seconds=100, state="Failed")
        world.task(failed, "loop", seconds=90)
        first, second = task_times(world.workspace)

    assert (first.task, first.share, first.one_by_one, first.tasks) == ("loop", 0.4, True, 2)
    assert (second.task, second.share, second.one_by_one) == ("mapped", 0.2, False)
    assert second.seconds / second.span == 4


def test_load_is_by_hour_of_the_week() -> None:
    """Days begin on Monday, hours are those of UTC."""
    with workspace() as world:
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly")
        # 2026-11-20 12:00 is a Friday.
        world.run(flow, nightly, ended_ago=0.5, seconds=1800)
        world.run(flow, nightly, ended_ago=DAY, seconds=60)
        world.run(flow, ended_ago=DAY, seconds=30)
        found = load(world.workspace)

    assert found.week[4][11] == 1
    assert found.week[3][11] == 2
    assert sum(map(sum, found.week)) == 3
    assert (found.scheduled[11], found.others[11]) == (2, 1)
    assert found.busiest == (3, 11, 2)


def test_charts_have_a_value_for_each_label() -> None:
    """Whatever is missing, a line has as many values as the axis has labels."""
    with workspace() as world:
        _everything(world)
        found = section(world.workspace)

    assert [each.id for each in found.charts] == [
        "runs-by-outcome",
        "durations",
        "hours",
        "queue-waits",
    ]
    for chart in found.charts:
        assert {len(each.values) for each in chart.series} == {len(chart.labels)}
    outcomes = found.charts[0]
    assert outcomes.shape is Shape.STACKED
    runs = {each.name: sum(value or 0 for value in each.values) for each in outcomes.series}
    assert runs == {"completed": 50, "failed": 1}


@pytest.mark.parametrize("hours", [1, 24, 24 * 7, 24 * 60, 24 * 400])
def test_any_length_of_time_is_charted(hours: int) -> None:
    """A chart has neither one point nor thousands, and its first step holds the period's start."""
    period = Period(NOW_US - hours * DAY_US // 24, NOW_US)
    with workspace(period=period) as world:
        _everything(world)
        found = section(world.workspace)

    labels = found.charts[0].labels
    assert 2 <= len(labels) <= 52
    assert all(one != other for one, other in pairwise(labels))


def test_long_tables_are_cut() -> None:
    """The first twenty rows stand there, and a note says how many there are."""
    with workspace() as world:
        for number in range(30):
            _hourly(world, f"flow-{number}", [float(number + 1)])
        (found,) = [t for t in section(world.workspace).tables if t.id == "slowest"]

    assert len(found.rows) == 20
    assert "30" in found.note
    assert found.rows[0].links["Flow"].url.startswith("http://prefect.test:4200/flows/flow/")


def test_full_limit_is_said_in_words() -> None:
    """A limit that holds up runs is in the text above the tables."""
    with workspace() as world:
        world.pool("k8s", limit=1)
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", pool="k8s")
        world.run(flow, nightly, ended_ago=3600, seconds=3600)
        world.run(flow, nightly, ended_ago=1, seconds=3599, wait=3600)
        found = section(world.workspace)

    assert (
        "The limit of 1 of work pool k8s was used up for 1 h 59 min; runs waited for 1 h of it."
        in found.paragraphs
    )


def _everything(world: WorldBuilder) -> None:
    world.pool("k8s", limit=2)
    flow = world.flow("etl")
    nightly = world.deployment(flow, "nightly", pool="k8s", cron="0 3 * * *")
    for number in range(50):
        world.run(flow, nightly, ended_ago=60 * number + 1, seconds=30 + number % 4)
    world.run(flow, nightly, ended_ago=60, state="Failed")
