"""Is Prefect all right? Each answer there is, and what stands in the tables below it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fronts import WORKING, status
from healths import NOW, WATCHED, World, crowded, troubled
from prefect_exporter.collectors.server import Server
from prefect_exporter.health.charts import HEIGHT, WIDTH, chart
from prefect_exporter.health.document import status_document
from prefect_exporter.health.model import SHOWN, Health, Known, Rate, Tone
from prefect_exporter.health.whole import health_of
from prefect_exporter.lateness.model import Cause

TOLD = tuple[Tone, str, str]
STALLED = (
    "2 deployments are due within a day, and no run is to come: Prefect's scheduler stands still."
)


def seen(*worlds: World) -> Health:
    """Return what is seen of these targets."""
    return health_of([world.readings() for world in worlds])


def told(*worlds: World) -> TOLD:
    """Return the verdict."""
    verdict = seen(*worlds).verdict
    return verdict.tone, verdict.word, verdict.sentence


def down(world: World) -> None:
    """Let it not answer."""
    world.server = Server(up=False, ready=False, version="3.8.8")


def not_ready(world: World) -> None:
    """Let it not reach its database."""
    world.server = Server(up=True, ready=False, version="3.8.8")


def cloud(world: World) -> None:
    """Let it have no way to say whether it is ready."""
    world.server = Server(up=True, ready=None, version=None)


def refused(world: World) -> None:
    """Let the credentials be refused for long."""
    world.change("flow_runs", succeeded=False, fresh=False, error_kind="unauthorized")


def refused_once(world: World) -> None:
    """Let one poll have been refused."""
    world.change("workers", succeeded=False, error_kind="forbidden")


def odd_failure(world: World) -> None:
    """Let a poll fail in a way that has no advice."""
    world.change("task_runs", succeeded=False, fresh=False, error_kind="rejected")


def starting(world: World) -> None:
    """Let nothing be known yet."""
    world.starts(*WATCHED)


def waiting(world: World) -> None:
    """Let one collector wait for another."""
    world.starts("deployment_history")
    world.change(
        "deployment_history",
        succeeded=False,
        last_success=None,
        fresh=False,
        error_kind="waiting",
    )


def stale(world: World) -> None:
    """Let late work not have been looked at for twelve minutes."""
    world.change("flow_runs_late", fresh=False, last_success=NOW - timedelta(minutes=12))


def stopped(world: World) -> None:
    """Let runs wait in a pool that nobody serves."""
    world.pool("gpu", online=0, offline=1)
    world.is_late(world.deployment("train", "weekly", pool="gpu"), 3, 40.0, pool="gpu")


def stopped_one(world: World) -> None:
    """The same with one run."""
    world.pool("gpu", online=0)
    world.is_late(world.deployment("train", "weekly", pool="gpu"), 1, 40.0, pool="gpu")


def late(world: World) -> None:
    """Let runs be late although there is a worker."""
    world.pool("default")
    world.is_late(world.deployment("etl", "hourly"), 4, 716.0)
    world.is_late(world.deployment("etl", "nightly"), 1, 396.0)


def a_little_late(world: World) -> None:
    """Let a run be late for less than is worth a word."""
    world.is_late(world.deployment("etl", "hourly"), 1, 40.0)


def pending(world: World) -> None:
    """Let a run not begin for half an hour."""
    world.active["etl", "hourly", "PENDING", ""] = 1, 1_800.0


def just_pending(world: World) -> None:
    """Let a run begin."""
    world.active["etl", "hourly", "PENDING", ""] = 1, 30.0
    world.active["etl", "hourly", "RUNNING", ""] = 9, 86_400.0


def silent(world: World) -> None:
    """Let runs have died unseen."""
    world.silent["etl", ""] = 2.0


def no_workers(world: World) -> None:
    """Let nobody serve a pool whose deployments have schedules."""
    world.pool("gpu", online=0)
    world.deployment("train", "weekly", pool="gpu")


def unused_pool(world: World) -> None:
    """Let nobody serve a pool that nothing is scheduled in."""
    world.pool("gpu", online=0)
    world.deployment("train", "by-hand", pool="gpu", scheduled=False)


def stalled(world: World) -> None:
    """Let deployments be due within a day, and no run be to come."""
    world.is_not_made(world.deployment("etl", "hourly"))
    world.is_not_made(world.deployment("etl", "nightly"), 86_399.0)
    world.is_not_made(world.deployment("etl", "weekly"), 86_401.0)


def stalled_for_later(world: World) -> None:
    """Let no run be to come of what is due later than within a day."""
    world.is_not_made(world.deployment("etl", "weekly"), 86_401.0)


def made(world: World) -> None:
    """Let a run be to come since somebody looked for the causes."""
    world.is_not_made(world.deployment("etl", "hourly"))
    world.scheduled = 1


def just_made(world: World) -> None:
    """Let Prefect have met one deployment, and another one's schedule, within two minutes."""
    for name in ("new", "resumed"):
        world.is_not_made(world.deployment("etl", name))
    world.diagnoses.clear()
    world.listed[0] = replace(world.listed[0], created=NOW - timedelta(seconds=119))
    world.listed[1] = replace(world.listed[1], created=NOW - timedelta(seconds=121))
    world.idle["etl", "resumed"] = NOW.timestamp() - 119.0


def met_a_while_ago(world: World) -> None:
    """The same, two minutes later."""
    just_made(world)
    world.listed[0] = replace(world.listed[0], created=NOW - timedelta(seconds=121))
    world.idle["etl", "resumed"] = NOW.timestamp() - 121.0


def managed(world: World) -> None:
    """Let a pool need no worker."""
    world.pool("serverless", online=0, type="prefect:managed")
    world.deployment("etl", "hourly", pool="serverless")


def failing(world: World) -> None:
    """Let deployments fail again and again."""
    world.fails(world.deployment("etl", "hourly"), 3)
    world.fails(world.deployment("score", "live"), 20)


def failed_once(world: World) -> None:
    """Let the last run of a deployment have failed."""
    world.fails(world.deployment("etl", "hourly"), 1)


def switched_off(world: World) -> None:
    """Let a person have switched collectors off."""
    world.off("workers")
    world.off("flow_runs_late")


def unsupported(world: World) -> None:
    """Let the server lack what a collector asks for."""
    world.starts("work_pools")
    world.change("work_pools", supported=False, succeeded=None, fresh=False)


def calm(_world: World) -> None:
    """Let all be well."""


CASES: list[tuple[Callable[[World], None], TOLD]] = [
    (down, (Tone.BAD, "Down", "The Prefect API gives no usable answer.")),
    (
        not_ready,
        (Tone.BAD, "Not ready", "Prefect answers, but does not reach its database."),
    ),
    (cloud, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
    (
        refused,
        (
            Tone.BAD,
            "Unknown",
            "Prefect refuses the credentials: flow_runs cannot be read.",
        ),
    ),
    (refused_once, (Tone.WARN, "Unknown", "Prefect forbids this: workers cannot be read.")),
    (
        odd_failure,
        (
            Tone.BAD,
            "Unknown",
            "Prefect gives no usable answer: task_runs cannot be read.",
        ),
    ),
    (starting, (Tone.IDLE, "Unknown", "Waiting for the first values.")),
    (waiting, (Tone.IDLE, "Unknown", "Waiting for the first values.")),
    (stale, (Tone.WARN, "Unknown", "What is known of flow_runs_late is 12 min old.")),
    (
        stalled,
        (Tone.BAD, "Stalled", STALLED),
    ),
    (
        met_a_while_ago,
        (Tone.BAD, "Stalled", STALLED),
    ),
    (
        stalled_for_later,
        (
            Tone.GOOD,
            "Fine",
            "Nothing is down, late or stuck; no run is to come of 1 deployment.",
        ),
    ),
    (
        made,
        (
            Tone.GOOD,
            "Fine",
            "Nothing is down, late or stuck; no run is to come of 1 deployment.",
        ),
    ),
    (just_made, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
    (
        stopped,
        (Tone.BAD, "Stopped", "Work pool gpu has no worker, and 3 runs wait for one."),
    ),
    (
        stopped_one,
        (Tone.BAD, "Stopped", "Work pool gpu has no worker, and 1 run waits for one."),
    ),
    (late, (Tone.WARN, "Late", "5 runs are late, of 2 deployments; the oldest by 12 min.")),
    (
        a_little_late,
        (Tone.GOOD, "Fine", "Nothing is down, late or stuck; 1 run is a little late."),
    ),
    (pending, (Tone.WARN, "Stuck", "1 run does not go on, for example of etl/hourly.")),
    (just_pending, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
    (silent, (Tone.WARN, "Stuck", "2 runs do not go on, for example of etl.")),
    (
        no_workers,
        (
            Tone.WARN,
            "No workers",
            "Work pool gpu has no worker, and deployments with schedules.",
        ),
    ),
    (unused_pool, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
    (managed, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
    (
        failing,
        (
            Tone.WARN,
            "Failing",
            "2 deployments fail again and again: score/live has failed 20 or more times in a row.",
        ),
    ),
    (
        failed_once,
        (Tone.GOOD, "Fine", "Nothing is down, late or stuck; 1 deployment failed last."),
    ),
    (
        switched_off,
        (
            Tone.GOOD,
            "Fine",
            "Nothing is down, late or stuck; not looked at: late work, workers.",
        ),
    ),
    (
        unsupported,
        (Tone.GOOD, "Fine", "Nothing is down, late or stuck; not looked at: work pools."),
    ),
    (calm, (Tone.GOOD, "Fine", "Nothing is down, late or stuck.")),
]


@pytest.mark.parametrize(
    ("change", "expected"), CASES, ids=[change.__name__ for change, _ in CASES]
)
def test_verdict_of_each_case(change: Callable[[World], None], expected: TOLD) -> None:
    """Every case has its word and its sentence."""
    world = World()
    change(world)

    assert expected == told(world)


@pytest.mark.parametrize("name", WATCHED)
@pytest.mark.parametrize(
    "changes",
    [
        {"succeeded": False, "error_kind": "unreachable", "fresh": False},
        {"succeeded": False, "error_kind": "unreachable"},
        {"fresh": False},
        {"polls": 0, "succeeded": None, "last_success": None, "fresh": False},
    ],
    ids=["fails", "failed once", "overdue", "never"],
)
def test_unknown_is_never_fine(name: str, changes: dict[str, object]) -> None:
    """Whatever must be known and is not takes the word Fine away."""
    world = World()
    if changes.get("polls") == 0:
        world.starts(name)
    world.change(name, **changes)

    tone, word, _ = told(world)

    assert tone is not Tone.GOOD
    assert word == "Unknown"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (down, stopped),
        (stalled, stopped),
        (stopped, late),
        (stale, late),
        (late, failing),
        (pending, failing),
    ],
    ids=["down", "stalled", "stopped", "stale", "late", "stuck"],
)
def test_worse_goes_before(first: Callable[[World], None], then: Callable[[World], None]) -> None:
    """Of two things that hold the worse one is said."""
    one, both = World(), World()
    first(one)
    then(both)
    first(both)

    assert told(one)[1] == told(both)[1]


def test_of_several_targets_the_worst_is_named() -> None:
    """The verdict on all is that on the worst one, with its name, and how many more are ill."""
    well, ill, worst = World("a"), World("b"), World("c")
    late(ill)
    down(worst)

    expected = "c: The Prefect API gives no usable answer. So it is with 1 more of 3."
    assert (Tone.BAD, "Down", expected) == told(well, ill, worst)
    assert (Tone.GOOD, "Fine", "So are all 2 targets.") == told(well, World("d"))


def test_process_without_a_target_watches_nothing() -> None:
    """A shard that has no target does not call anything fine."""
    assert (Tone.IDLE, "Nothing to watch", "This process reads no Prefect.") == told()


def test_worst_targets_come_first() -> None:
    """Targets stand in the order of their verdicts."""
    ill = World("z")
    down(ill)

    assert ["z", "a", "b"] == [row.name for row in seen(World("b"), World("a"), ill).targets.rows]


def test_late_work_is_told_by_deployment_with_its_cause() -> None:
    """A deployment late in two queues is one row, as old as its oldest run is now, with a mend."""
    world = World()
    name = world.deployment("etl", "hourly")
    world.late[*name, "default", "one"] = 2, 100.0
    world.late[*name, "default", "two"] = 3, 300.0
    world.why(name, Cause.POOL_LIMIT_FULL, "prefect work-pool set-concurrency-limit default 20")

    (row,) = seen(world).work.rows

    # The collector looked 4 s ago.
    assert ("late", 5, 304.0) == (row.kind, row.number, row.seconds)
    assert "pool limit full" == row.cause
    assert "prefect work-pool set-concurrency-limit default 20" == row.mend
    assert f"http://127.0.0.1:4200/deployments/deployment/{world.listed[0].id}" == row.url


def test_long_waits_come_first() -> None:
    """What waits longest stands first, and what has no age last."""
    rows = seen(troubled()).work.rows

    assert ["pending", "late", "late", "silent"] == [row.kind for row in rows]


def test_what_is_not_made_is_listed_after_what_is_late() -> None:
    """A deployment that is due and of which no run is made is a row with a cause and a mend."""
    world = World()
    world.is_not_made(world.deployment("a", "hourly"))
    late(world)
    silent(world)

    *others, row = seen(world).work.rows

    assert ["late", "late", "silent"] == [each.kind for each in others]
    assert ("a/hourly", 0, None) == (row.where, row.number, row.seconds)
    assert "no runs are made: scheduler behind" == row.what
    assert "prefect server services start" == row.mend
    assert f"http://127.0.0.1:4200/deployments/deployment/{world.listed[0].id}" == row.url


def test_cause_of_a_long_name_is_found() -> None:
    """The label of a long name is a short form of it, and its cause is told all the same."""
    world = World()
    world.is_late(world.deployment("etl", "x" * 300), 1, 400.0)
    world.why(("etl", "x" * 300), Cause.POOL_PAUSED)

    assert ["pool paused"] == [row.cause for row in seen(world).work.rows]


def test_pools_with_a_problem_come_first() -> None:
    """A pool without a worker in which runs wait is first, then the other problems."""
    world = World()
    world.pool("a")
    world.pool("b", is_paused=True)
    world.pool("c", online=0, offline=2)
    world.pool("d", concurrency_limit=3, active_slots=3)
    world.is_late(world.deployment("etl", "hourly", pool="c"), 7, 10.0, pool="c")

    rows = seen(world).pools.rows

    expected = [("c", "no worker"), ("b", "paused"), ("d", "full"), ("a", "")]
    assert expected == [(row.name, row.problem) for row in rows]
    worst = rows[0]
    assert (7, 0, 2, 3_600.0) == (worst.waiting, worst.online, worst.workers, worst.heard_seconds)


def test_pool_whose_workers_are_not_known_has_no_problem_made_up() -> None:
    """Where nobody asked for workers, none is missed."""
    world = World()
    world.pool("a", online=0)
    world.off("workers")
    pools = seen(world).pools

    assert "" == pools.rows[0].problem
    assert Known.OFF is pools.known


def test_deployments_that_fail_most_come_first() -> None:
    """Failing deployments are sorted by their failures in a row; one that is well is not there."""
    world = World()
    world.fails(world.deployment("etl", "once"), 1)
    world.fails(world.deployment("etl", "often"), 6, succeeded=False)
    world.fails(world.deployment("etl", "never"), 0)

    rows = seen(world).failing.rows

    told = [
        (row.deployment, row.failures, row.failed_seconds, row.succeeded_seconds) for row in rows
    ]
    assert [("often", 6, 120.0, None), ("once", 1, 120.0, 7_200.0)] == told


def test_messages_are_short_and_hold_no_secret() -> None:
    """A message is one line of bounded length, and a password in it is hidden."""
    world = World()
    world.failed(("etl", "hourly"), "cannot reach\npostgresql://me:hunter2@db/x " + "y" * 900)

    (row,) = seen(world).failures.rows

    assert row.message.startswith("cannot reach postgresql://me:")
    assert "hunter2" not in row.message
    assert len(row.message) <= 401
    assert row.url.startswith("http://127.0.0.1:4200/runs/flow-run/")


def test_newest_failures_and_largest_groups_come_first() -> None:
    """Failures are sorted by when, groups by how many; five of each are shown."""
    world = World()
    for number in range(7):
        world.failed(("etl", "hourly"), f"e{number}", number=number, ago=number)

    health = seen(world)

    assert [f"e{number}" for number in range(5)] == [row.message for row in health.failures.rows]
    assert [6, 5, 4, 3, 2] == [row.number for row in health.alike.rows]
    assert (2, 2) == (health.failures.more, health.alike.more)


def test_parts_are_bounded_and_count_the_rest() -> None:
    """Of a thousand rows the worst are shown, and the rest is a number."""
    health = seen(crowded())

    for part in (health.work, health.pools, health.failing):
        assert (SHOWN, 1_000, 990) == (len(part.rows), part.total, part.more)
    assert 1_059.0 + 4 == health.work.rows[0].seconds


def test_what_was_cut_off_is_at_least_so_much() -> None:
    """A listing that a limit of ours ended is told as at least what it shows."""
    world = World()
    readings = world.readings()
    late = readings.collectors["flow_runs_late"]
    cut = replace(late, state=replace(late.state, truncated=True))
    collectors = {**readings.collectors, "flow_runs_late": cut}

    assert health_of([replace(readings, collectors=collectors)]).work.at_least


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (lambda world: world.starts("flow_runs_late"), Known.WAITING),
        (lambda world: world.off("flow_runs_late"), Known.OFF),
        (lambda world: world.change("flow_runs_late", fresh=False), Known.STALE),
        (lambda world: world.change("flow_runs_late", supported=False), Known.UNSUPPORTED),
    ],
    ids=["waiting", "off", "stale", "unsupported"],
)
def test_part_says_how_far_it_is_known(change: Callable[[World], None], known: Known) -> None:
    """Where one of two targets does not tell, the part says so beside what the other tells."""
    silent_one, other = World("a"), World("b")
    change(silent_one)
    other.is_late(("etl", "hourly"), 1, 10.0)

    work = seen(silent_one, other).work

    assert (known, 1) == (work.known, work.total)


def test_rates_of_targets_add_up_from_the_right() -> None:
    """Two targets that started at different times are added minute by minute up to now."""
    old, new = World("a", rate=Rate((1.0, 2.0, 3.0), (0.0, 0.0, 1.0))), World("b")
    new.rate = Rate((10.0,), (5.0,))

    rate = seen(old, new).rate

    assert Rate((1.0, 2.0, 13.0), (0.0, 0.0, 6.0)) == rate


def test_chart_draws_whole_minutes_and_says_them() -> None:
    """The minute that is not over is left out; the words have the numbers of the line."""
    drawn = chart("failed", "Failed", (0.0, 4.0, 2.0, 99.0))

    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    assert [(0.0, HEIGHT - 2), (WIDTH / 2, 2.0), (WIDTH, HEIGHT / 2)] == points
    assert "2 / min" == drawn.lately
    expected = "Failed per minute over the last 3 min: 2 lately, 4 at most, 6 in all."
    assert expected == drawn.words


def test_chart_of_nothing_is_a_line_at_the_bottom_or_none() -> None:
    """Zeros are a flat line; no minute at all is no line, and is said."""
    flat = chart("failed", "Failed", (0.0, 0.0, 0.0))

    assert {str(HEIGHT - 2) + ".0"} == {point.split(",")[1] for point in flat.points.split()}
    assert "" == chart("failed", "Failed", (3.0,)).points
    assert "not known yet" in chart("failed", "Failed", ()).words


def test_document_holds_what_the_page_shows() -> None:
    """`/status.json` has the verdict, the parts and the collectors, in plain JSON."""
    name = "x\udc80<b>"
    world = troubled()
    world.fails(("etl", name), 5)

    document = json.loads(status_document(status(WORKING), seen(world)))

    assert {"tone": "bad", "word": "Stopped"}.items() <= document["verdict"].items()
    assert 4 == document["work"]["total"] == len(document["work"]["rows"])
    assert name in {row["deployment"] for row in document["failing"]["rows"]}
    assert "flow_runs" == document["exporter"]["collectors"][0]["name"]
    assert "2026-11-21T14:50:03Z" == document["at"]


def test_old_values_are_not_shown_as_if_they_held() -> None:
    """What was late before the collector fell silent may long have run: no row claims it."""
    world = World()
    late(world)
    stale(world)

    work = seen(world).work

    assert (Known.STALE, ()) == (work.known, work.rows)
