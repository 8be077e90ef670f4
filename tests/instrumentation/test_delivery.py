"""How long a process waits for its telemetry, and for what."""

from __future__ import annotations

import time
from threading import Event
from threading import enumerate as living

import pytest

from demo.processes import wait_until
from prefect_instrumentation._provider.delivery import Budget, Courier, Delivery, Way
from prefect_instrumentation._provider.signals import LOGS, METRICS, SPANS


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


class StubbornProvider:
    """A provider whose every end is chosen: at once, by an error, or never."""

    def __init__(self, *, error: Exception | None = None, flushed: bool = True) -> None:
        self.asked: list[str] = []
        self.may_go_on = Event()
        self._error = error
        self._flushed = flushed

    def force_flush(self) -> bool:
        """Do as chosen."""
        self._end("force_flush")
        return self._flushed

    def shutdown(self) -> None:
        """Do as chosen."""
        self._end("shutdown")

    def _end(self, what: str) -> None:
        self.asked.append(what)
        if self._error:
            raise self._error
        self.may_go_on.wait(20)


def spend(budget: Budget, clock: Clock, most: float, seconds: float) -> float:
    """Return what a budget gave, of which so many seconds were spent."""
    with budget.spending(most) as available:
        clock.now += seconds
    return available


def test_budget_is_for_all_together() -> None:
    """Whoever comes later gets what is left, and never less than nothing."""
    clock = Clock()
    budget = Budget(1.0, clock)

    assert 0.5 == spend(budget, clock, most=0.5, seconds=0.25)
    assert 0.75 == spend(budget, clock, most=9.0, seconds=1.0)
    assert 0.0 == spend(budget, clock, most=9.0, seconds=0.0)


def test_budget_is_renewed_by_living_on() -> None:
    """A process that goes on for a minute was not at its end; one that waits for less may be."""
    clock = Clock()
    budget = Budget(1.0, clock)
    spend(budget, clock, most=1.0, seconds=1.0)

    clock.now += 59.0
    assert 0.0 == spend(budget, clock, most=1.0, seconds=0.0)
    clock.now += 60.0
    assert 1.0 == spend(budget, clock, most=1.0, seconds=0.0)


def test_budget_books_what_an_error_took() -> None:
    """Time is spent, however it ends."""
    clock = Clock()
    budget = Budget(1.0, clock)

    def interrupt() -> None:
        with budget.spending(1.0):
            clock.now += 0.75
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()

    assert 0.25 == spend(budget, clock, most=1.0, seconds=0.0)


def test_courier_survives_errors() -> None:
    """A job that raises was not done, and the next one is."""
    courier = Courier()

    assert not courier.run(lambda: 1 / 0, 20)
    assert not courier.run(lambda: False, 20)
    assert courier.run(lambda: None, 20)


def test_courier_can_be_left_alone() -> None:
    """Whoever asks stops waiting in time."""
    courier, may_go_on = Courier(), Event()
    start = time.monotonic()

    assert not courier.run(lambda: may_go_on.wait(20), 0.05)
    assert time.monotonic() - start < 10
    may_go_on.set()
    assert courier.run(lambda: True, 20)


def test_error_of_a_provider_is_no_flush() -> None:
    """It is neither raised nor waited for."""
    provider = StubbornProvider(error=RuntimeError("no"))
    delivery = Delivery(20.0, [Way(provider)])
    start = time.monotonic()

    assert not delivery.flush(20.0)
    delivery.close()
    assert ["force_flush", "shutdown"] == provider.asked
    assert time.monotonic() - start < 10


def test_word_of_a_provider_counts() -> None:
    """A provider that is the user's knows by itself whether its spans have gone."""
    provider = StubbornProvider(flushed=False)
    provider.may_go_on.set()

    assert not Delivery(20.0, [Way(provider)]).flush(20.0)


def test_hanging_provider_is_left() -> None:
    """A flush takes the time it was given, and no more."""
    provider = StubbornProvider()
    start = time.monotonic()

    assert not Delivery(20.0, [Way(provider)]).flush(0.05)
    assert time.monotonic() - start < 10
    provider.may_go_on.set()


def test_process_is_closed_once() -> None:
    """Both `atexit` and a finalizer of multiprocessing may ask."""
    provider = StubbornProvider()
    provider.may_go_on.set()
    delivery = Delivery(20.0, [Way(provider)])

    delivery.close()
    delivery.close()

    assert ["shutdown"] == provider.asked


def test_flush_soon_waits_for_nobody() -> None:
    """However often it is asked for while the provider hangs, one more attempt is enough."""
    provider = StubbornProvider()
    delivery = Delivery(20.0, [Way(provider)])
    start = time.monotonic()

    for _ in range(1000):
        delivery.flush_soon()

    assert time.monotonic() - start < 10
    provider.may_go_on.set()
    assert delivery.flush(20.0)
    assert len(provider.asked) <= 3


def test_provider_of_the_user_costs_no_thread() -> None:
    """Each test with recorded spans may have a provider of its own: a thread waits for none."""
    before = set(living())
    deliveries = [Delivery(1.0, [Way(StubbornProvider())]) for _ in range(20)]

    assert set() == set(living()) - before  # threads of other tests may end meanwhile
    assert 20 == len(deliveries)


class Lost:
    """So many things on their way, some of which have not arrived."""

    def __init__(self, undelivered: int, ended: int) -> None:
        self.undelivered = undelivered
        self.ended = ended

    def renew(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("end", ["flush", "close"])
def test_hanging_way_keeps_no_other(end: str) -> None:
    """All are sent off at once, and are waited for by the same deadline."""
    hanging = [StubbornProvider() for _ in range(20)]
    well = StubbornProvider()
    well.may_go_on.set()
    delivery = Delivery(0.5, [Way(each) for each in (*hanging, well)])
    start = time.monotonic()

    if end == "flush":
        assert not delivery.flush(20.0)
    else:
        delivery.close()
    assert time.monotonic() - start < 5
    # A busy machine may take longer than was waited for to begin with all of them.
    wait_until(
        lambda: [1] * 21 == [len(each.asked) for each in (*hanging, well)],
        within=15,
        what="a provider that hangs by itself",
    )
    for each in hanging:
        each.may_go_on.set()


def test_provider_of_the_user_is_not_ended() -> None:
    """Whoever made it shuts it down."""
    provider = StubbornProvider()
    provider.may_go_on.set()
    delivery = Delivery(20.0, [Way(provider, is_ours=False)])

    delivery.flush(20.0)
    delivery.close()

    assert ["force_flush"] == provider.asked


def test_all_losses_are_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """What was lost of each signal, once, with the variables that would turn it off."""
    provider = StubbornProvider()
    provider.may_go_on.set()
    lost = [(Lost(2, 3), SPANS), (Lost(0, 9), METRICS), (Lost(4, 4), LOGS)]
    delivery = Delivery(20.0, [Way(provider, (each,), signal) for each, signal in lost])

    assert not delivery.flush(20.0)
    delivery.close()

    (line,) = caplog.messages
    assert line.startswith("2 of 3 spans, 4 of 4 log records were not delivered. Does")
    assert line.endswith("With OTEL_TRACES_EXPORTER=none, OTEL_LOGS_EXPORTER=none nothing is sent")


def test_no_way_delivers_nothing() -> None:
    """A flush of what is not there is none."""
    assert not Delivery(20.0).flush(20.0)


def test_way_of_a_signal_can_be_replaced() -> None:
    """A provider that the user names later is the one that is flushed; other signals stay."""
    first, second, other = (StubbornProvider() for _ in range(3))
    for each in (first, second, other):
        each.may_go_on.set()
    delivery = Delivery(0.0, [Way(first), Way(other, signal=LOGS)])
    delivery.replace(Way(second), 20.0)

    assert delivery.flush(20.0)
    assert [0, 1, 1] == [len(each.asked) for each in (first, second, other)]
