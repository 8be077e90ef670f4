"""A collector at work: failures stay local, are told once, and take nothing away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import scripted
from contexts import settings_of
from fakes import FakePrefect
from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import (
    LedgerDamaged,
    LedgerFull,
    Malformed,
    Rejected,
    Throttled,
    TimedOut,
    Unreachable,
    Waiting,
)
from prefect_exporter.metrics import Counted, Family
from prefect_exporter.moments import SECOND, moment
from prefect_exporter.runner import (
    DEADLINE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    TELL_AGAIN_SECONDS,
    Outages,
    Runner,
)
from worlds import collecting, prefect_of, run

DOWN = Unreachable("flow_runs/filter", "connection refused")


@dataclass
class Number:
    """A state: how many polls led to it."""

    value: int
    truncated: bool = False
    folded: int = 0


@dataclass
class Scripted:
    """A collector that fails when told so; it takes *seconds* for each poll."""

    prefect: FakePrefect
    failures: list[BaseException | None] = field(default_factory=list)
    seconds: float = 0.0
    name: str = "numbers"
    required: bool = True
    families: tuple[Family[Number], ...] = ()
    counted: tuple[Counted, ...] = ()
    interval_seconds: float = 15.0

    async def poll(self, context: Context, previous: Number | None) -> Number:
        """Return the next number."""
        assert context.target == "test"
        self.prefect.now_us += round(self.seconds * SECOND)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return Number(previous.value + 1 if previous else 1)


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def runner_of(
    context: Context, prefect: FakePrefect, *failures: BaseException | None
) -> Runner[Number]:
    """Return a runner whose polls fail so, one after another."""
    return Runner(Scripted(prefect, list(failures)), context, Outages("test", lambda: 0.0))


def ticks(runner: Runner[Number], number: int) -> None:
    """Poll some times."""
    for _ in range(number):
        run(runner.tick())


def test_state_follows_the_last_one(context: Context, prefect: FakePrefect) -> None:
    """Each poll gets the state before it."""
    runner = runner_of(context, prefect)
    ticks(runner, 3)

    assert Number(3) == runner.state


def test_failed_poll_keeps_the_state(context: Context, prefect: FakePrefect) -> None:
    """What was learnt last stays, and the next good poll goes on from it."""
    runner = runner_of(context, prefect, None, DOWN)
    ticks(runner, 2)
    kept = runner.state
    ticks(runner, 1)

    assert (Number(1), Number(2)) == (kept, runner.state)


def test_state_is_unknown_before_the_first_good_poll(
    context: Context, prefect: FakePrefect
) -> None:
    """A collector that never succeeded has nothing to show, not a zero."""
    runner = runner_of(context, prefect, DOWN)
    ticks(runner, 1)

    assert (None, False) == (runner.state, runner.fresh)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (DOWN, "unreachable"),
        (TimedOut("r", "x"), "timeout"),
        (Malformed("r", "x"), "malformed"),
        (Rejected("r", "x", status=401), "unauthorized"),
        (Throttled("r", "x", status=429, retry_after=1), "throttled"),
        (LedgerFull("x"), "ledger"),
        (Waiting("x"), "waiting"),
        (ZeroDivisionError("secret"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failure_has_its_kind(
    context: Context, prefect: FakePrefect, failure: Exception, kind: str
) -> None:
    """Each failure is told by kind, in one line that holds nothing of a defect's own text."""
    runner = runner_of(context, prefect, failure)
    with capture_logs():
        ticks(runner, 1)
    status = runner.status()

    assert (kind, False, {"success": 0, "failure": 1}) == (
        status.error_kind,
        status.succeeded,
        runner.polls,
    )
    assert status.error is not None
    assert "secret" not in status.error
    assert "\n" not in status.error


def test_good_poll_ends_a_failure(context: Context, prefect: FakePrefect) -> None:
    """After a good poll nothing tells of the failure before it but its count."""
    runner = runner_of(context, prefect, DOWN)
    ticks(runner, 2)
    status = runner.status()

    assert (True, None, None) == (status.succeeded, status.error_kind, status.error)
    assert {"success": 1, "failure": 1} == runner.polls


def test_damaged_ledger_is_not_one_collectors_failure(
    context: Context, prefect: FakePrefect
) -> None:
    """Damage ends the runner: nobody can count any more."""
    runner = runner_of(context, prefect, LedgerDamaged("is damaged"))

    with pytest.raises(LedgerDamaged):
        ticks(runner, 1)


@pytest.mark.parametrize(
    ("stale_after", "interval", "fresh_for"), [("5m", 15.0, 300), ("30s", 100.0, 200)]
)
def test_state_is_fresh_for_a_while(
    context: Context, prefect: FakePrefect, stale_after: str, interval: float, fresh_for: int
) -> None:
    """A state is fresh until the stale limit, and for two intervals of a slow collector."""
    context = replace(context, settings=settings_of(STALE_AFTER=stale_after))
    collector = Scripted(prefect, interval_seconds=interval)
    runner = Runner(collector, context, Outages("test", lambda: 0.0))
    ticks(runner, 1)
    prefect.now_us += fresh_for * SECOND - 1
    before = runner.fresh
    prefect.now_us += 1

    assert (True, False) == (before, runner.fresh)


def test_status_tells_how_the_last_poll_went(context: Context, prefect: FakePrefect) -> None:
    """Duration and time of the last good poll are told, a failed one's duration too."""
    collector = Scripted(prefect, [None, DOWN], seconds=2.0)
    runner = Runner(collector, context, Outages("test", lambda: 0.0))
    ticks(runner, 1)
    ended = moment(prefect.now_us)
    collector.seconds = 3.0
    ticks(runner, 1)
    status = runner.status()

    assert (2, ended, 3.0, True, True) == (
        status.polls,
        status.last_success,
        status.duration_seconds,
        status.required,
        status.fresh,
    )


def told(logs: list[dict[str, object]], level: str) -> list[object]:
    """Return the events of one level."""
    return [line["event"] for line in logs if line["log_level"] == level]


def test_outage_is_told_once(context: Context, prefect: FakePrefect) -> None:
    """However many polls of however many collectors fail alike, there is one warning."""
    outages = Outages("test", lambda: 0.0)
    runners = [Runner(Scripted(prefect, [DOWN] * 3, name=name), context, outages) for name in "abc"]
    with capture_logs() as logs:
        for runner in runners:
            ticks(runner, 3)

    assert ["poll.failed"] == told(list(map(dict, logs)), "warning")


def test_recovery_is_told_when_all_work(context: Context, prefect: FakePrefect) -> None:
    """The last collector to recover is worth one line; work as usual is worth none."""
    outages = Outages("test", lambda: 0.0)
    runners = [Runner(Scripted(prefect, [DOWN], name=name), context, outages) for name in "ab"]
    with capture_logs() as logs:
        for _ in range(3):
            for runner in runners:
                ticks(runner, 1)

    assert ["polls.recovered"] == told(list(map(dict, logs)), "info")


def test_another_kind_of_failure_is_told(context: Context, prefect: FakePrefect) -> None:
    """A failure of another kind is news."""
    runner = runner_of(context, prefect, DOWN, TimedOut("r", "x"), TimedOut("r", "x"))
    with capture_logs() as logs:
        ticks(runner, 3)

    assert ["unreachable", "timeout"] == [
        line["kind"] for line in logs if line["log_level"] == "warning"
    ]


def test_waiting_is_no_warning(context: Context, prefect: FakePrefect) -> None:
    """Waiting for another collector is how a start looks, not a failure to be told."""
    runner = runner_of(context, prefect, Waiting("waits"))
    with capture_logs() as logs:
        ticks(runner, 1)

    assert [] == told(list(map(dict, logs)), "warning")


def times_of(runner: Runner[Number], polls: int) -> list[float]:
    """Return when the first polls ended, on a loop whose waits take no time."""
    times: list[float] = []

    class Enough(Exception):  # it is no error
        """Stops the runner."""

    def published(_runner: Runner[Number]) -> None:
        times.append(scripted.now())
        if len(times) == polls:
            raise Enough

    async def work() -> None:
        with pytest.raises(Enough):
            await runner.run(published)

    scripted.run(work())
    return [round(time, 1) for time in times]


def test_polls_come_at_the_interval(context: Context, prefect: FakePrefect) -> None:
    """From one poll's begin to the next one's is the interval."""
    assert [0.0, 15.0, 30.0] == times_of(runner_of(context, prefect), 3)


def test_long_poll_is_followed_by_a_short_pause(context: Context, prefect: FakePrefect) -> None:
    """A poll longer than its interval is not followed by another at once."""
    runner = Runner(Scripted(prefect, seconds=60.0), context, Outages("test", lambda: 0.0))

    assert [0.0, SHORTEST_PAUSE_SECONDS, 2 * SHORTEST_PAUSE_SECONDS] == times_of(runner, 3)


def test_waiting_collector_asks_again_soon(context: Context, prefect: FakePrefect) -> None:
    """What only waits for another collector does not wait its whole interval."""
    runner = runner_of(context, prefect, Waiting("waits"), Waiting("waits"))

    assert [0.0, 1.0, 2.0, 17.0] == times_of(runner, 4)


def test_endless_poll_is_cut_off(context: Context, prefect: FakePrefect) -> None:
    """A poll that never ends is a failure, and does not keep its collector for ever."""

    class Endless(Scripted):
        """A collector that waits for ever."""

        async def poll(self, context: Context, previous: Number | None) -> Number:
            """Never return."""
            await asyncio.Event().wait()
            raise AssertionError

    runner = Runner(Endless(prefect), context, Outages("test", lambda: 0.0))
    with capture_logs():
        ended = times_of(runner, 1)

    assert ([float(DEADLINE_SECONDS)], "timeout") == (ended, runner.status().error_kind)


def test_set_clock_does_not_make_a_state_fresh(context: Context, prefect: FakePrefect) -> None:
    """The time of day may be set back an hour: what is not polled grows stale all the same."""
    seconds = iter([0.0] * 4 + [3600.0])
    later = replace(context, monotonic=lambda: next(seconds, 3600.0))
    runner = Runner(Scripted(prefect), later, Outages("test", lambda: 0.0))
    ticks(runner, 1)
    prefect.now_us -= 3600 * SECOND
    list(seconds)

    assert not runner.fresh


def test_other_cause_of_the_same_kind_is_told(context: Context, prefect: FakePrefect) -> None:
    """One chronic failure hides no other one of its kind; numbers make no other cause."""
    outages = Outages("test", lambda: 0.0)
    chronic = Malformed("events/filter", "expected `object` at $[1]")
    runners = [
        Runner(Scripted(prefect, [chronic], name="a"), context, outages),
        Runner(Scripted(prefect, [Malformed("e", "expected `object` at $[7]")]), context, outages),
        Runner(Scripted(prefect, [Malformed("flow_runs/filter", "too long")]), context, outages),
    ]
    with capture_logs() as logs:
        for runner in runners:
            ticks(runner, 1)

    assert ["poll.failed"] * 2 == told(list(map(dict, logs)), "warning")


def test_outage_that_goes_on_is_told_again(context: Context, prefect: FakePrefect) -> None:
    """Ten minutes later the same cause is worth another line, so that nobody thinks it over."""
    clock = iter([0.0, 300.0, TELL_AGAIN_SECONDS])
    outages = Outages("test", lambda: next(clock))
    runner = Runner(Scripted(prefect, [DOWN] * 3), context, outages)
    with capture_logs() as logs:
        ticks(runner, 3)

    assert ["poll.failed"] * 2 == told(list(map(dict, logs)), "warning")


def test_start_is_no_recovery(context: Context, prefect: FakePrefect) -> None:
    """A collector that waited for another one has not recovered from anything."""
    runner = runner_of(context, prefect, Waiting("waits"))
    with capture_logs() as logs:
        ticks(runner, 2)

    assert [] == told(list(map(dict, logs)), "info")


def test_defect_is_logged_with_its_trace_once(context: Context, prefect: FakePrefect) -> None:
    """A defect of ours shows where it is, and not at every poll."""
    runner = runner_of(context, prefect, *[KeyError("odd")] * 3)
    with capture_logs() as logs:
        ticks(runner, 3)

    assert [KeyError] == [type(line["exc_info"]) for line in logs]


LACKING = Rejected("numbers/filter", "HTTP status 404", status=404)


def test_missing_route_is_no_failure(context: Context, prefect: FakePrefect) -> None:
    """What Prefect does not have is told once, counts as neither, and is asked again later."""
    numbers = Scripted(prefect, [LACKING, LACKING], required=False)
    runner = Runner(numbers, context, Outages("test", context.monotonic))

    with capture_logs() as logs:
        run(runner.tick())
        run(runner.tick())

    status = runner.status()
    assert (False, None, None) == (status.supported, status.succeeded, status.error)
    assert {"success": 0, "failure": 0} == runner.polls
    assert ["collector.unsupported"] == [line["event"] for line in logs]
    run(runner.tick())
    assert (True, True) == (runner.status().supported, runner.status().succeeded)


@pytest.mark.parametrize("required", [True, False])
def test_missing_route_that_matters_is_a_failure(
    context: Context, prefect: FakePrefect, *, required: bool
) -> None:
    """A required collector needs its route, and one that was there has not merely been lacking."""
    numbers = Scripted(prefect, [LACKING] if required else [None, LACKING], required=required)
    runner = Runner(numbers, context, Outages("test", context.monotonic))

    with capture_logs():
        for _ in range(1 if required else 2):
            run(runner.tick())

    status = runner.status()
    assert (True, False, "not_found") == (status.supported, status.succeeded, status.error_kind)


def test_wrong_address_is_not_taken_for_an_old_server(
    context: Context, prefect: FakePrefect
) -> None:
    """Where what is required is not found either, the optional fails too, and says so."""
    outages = Outages("test", context.monotonic)
    required = Runner(Scripted(prefect, [LACKING]), context, outages)
    optional = Runner(Scripted(prefect, [LACKING], required=False), context, outages)

    with capture_logs():
        run(required.tick())
        run(optional.tick())

    status = optional.status()
    assert (True, "not_found") == (status.supported, status.error_kind)
