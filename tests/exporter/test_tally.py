"""The tally: what is published of what was counted, and what a commit would make of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from prefect_exporter.facts import Add, Exemplar, Fact, Latest, Observe, Retried, Series
from prefect_exporter.ledger.exemplars import MOST_SERIES
from prefect_exporter.ledger.tally import Draft, Tally, empty_histogram
from prefect_exporter.metrics import Counted, Histogram, Kind
from prefect_exporter.traces import Trace

ENDS = Counted("ends_total", Kind.COUNTER, "Ends.", ("flow",))
LAST = Counted("last_seconds", Kind.GAUGE, "The last.", ("flow",))
SPENT = Counted("spent_seconds", Kind.HISTOGRAM, "Time.", ("flow",), (1.0, 10.0))

COUNTER = Series(ENDS.name, ("t", "etl"))
GAUGE = Series(LAST.name, ("t", "etl"))
HISTOGRAM = Series(SPENT.name, ("t", "etl"))


def tally() -> Tally:
    """Return a tally with nothing in it."""
    return Tally({each.name: each for each in (ENDS, LAST, SPENT)})


def test_released_series_shows_its_value() -> None:
    """What is not held is published as it was counted."""
    it = tally()
    it.load(COUNTER, 3.0, released=True)
    it.load(HISTOGRAM, Histogram((1, 0, 2), 5.0), released=True)

    assert [3.0, Histogram((1, 0, 2), 5.0)] == [it.shown(COUNTER), it.shown(HISTOGRAM)]


def test_held_series_shows_zero() -> None:
    """What is held is published at 0, also while it goes on counting."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.load(COUNTER, 4.0, released=True)
    it.load(HISTOGRAM, Histogram((1, 0, 2), 5.0), released=False)

    assert [0.0, Histogram((0, 0, 0))] == [it.shown(COUNTER), it.shown(HISTOGRAM)]


def test_series_is_held_no_more_once_it_may_be_shown() -> None:
    """After its zero, a series is published as it was counted."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.show(COUNTER)

    assert 3.0 == it.shown(COUNTER)


def test_unknown_series_shows_nothing() -> None:
    """A series that was never counted is not at 0: it is not there."""
    assert [None, None] == [tally().shown(COUNTER), tally().shown(HISTOGRAM)]


def test_only_what_counts_is_held() -> None:
    """A newest time has no first zero that a scrape would need."""
    it = tally()

    assert [True, False, True] == [it.holds(each) for each in (COUNTER, GAUGE, HISTOGRAM)]


@pytest.mark.parametrize(
    ("served", "now", "expected"),
    [
        (0, 100.0, False),
        (4, 100.0, False),
        (5, 100.0, True),
        (9, 100.0, True),
        (0, 129.9, False),
        (0, 130.0, True),
    ],
)
def test_release_is_due_after_a_scrape_or_the_deadline(
    served: int, now: float, *, expected: bool
) -> None:
    """A zero is given up when a scrape had it, or when it was there for long enough."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.mark_shown(5, 100.0)
    it.mark_shown(6, 120.0)

    assert ([COUNTER] if expected else []) == it.due(served, now, 30.0)


def test_unpublished_zero_is_not_due() -> None:
    """A series that no publication has shown waits, whatever was served before it."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)

    assert [] == it.due(99, 1e9, 0.0)


def test_forgotten_series_is_gone() -> None:
    """A series that retires is neither counted, nor published, nor held."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.load(HISTOGRAM, Histogram((1, 0, 2), 5.0), released=False)
    it.forget(COUNTER)
    it.forget(HISTOGRAM)

    assert (0, False, {}) == (len(it), COUNTER in it, it.held)
    assert [None, None] == [it.shown(COUNTER), it.shown(HISTOGRAM)]


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.load(COUNTER, 4.0, released=True),
        lambda it: it.show(COUNTER),
        lambda it: it.forget(COUNTER),
    ],
    ids=["load", "show", "forget"],
)
def test_change_is_told_once(change: Callable[[Tally], None]) -> None:
    """Whatever changes what a series shows is told to whoever asks next, and not again."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.changes(ENDS.name)
    change(it)

    told = [set(it.changes(name)) for name in (ENDS.name, ENDS.name, SPENT.name)]
    assert [{("t", "etl")}, set(), set()] == told


def test_draft_leaves_the_tally_alone() -> None:
    """What a commit would do is not there before it is committed."""
    it = tally()
    it.load(COUNTER, 1.0, released=True)
    draft = Draft(it)
    effects = (Add(COUNTER), Observe(HISTOGRAM, 2.0), Latest(GAUGE, 9.0))
    draft.take(Fact(UUID(int=1), 5, effects), 0)

    assert (1.0, 1) == (it.shown(COUNTER), len(it))
    expected = {COUNTER: 2.0, GAUGE: 9.0, HISTOGRAM: Histogram((0, 1, 0), 2.0)}
    assert expected == dict(draft.items())


def test_draft_goes_on_from_itself() -> None:
    """Several facts of one change add up."""
    draft = Draft(tally())
    for number in range(3):
        effects = (Add(COUNTER), Observe(HISTOGRAM, 2.0))
        draft.take(Fact(UUID(int=number), 5, effects), 0)

    assert {COUNTER: 3.0, HISTOGRAM: Histogram((0, 3, 0), 6.0)} == dict(draft.items())


def test_seed_does_not_touch_what_is_there() -> None:
    """A seed is for new series alone, counted before or in the same change."""
    it = tally()
    it.load(COUNTER, 3.0, released=True)
    draft = Draft(it)
    draft.take(Fact(UUID(int=1), 5, (Observe(HISTOGRAM, 2.0),)), 0)
    for series in (COUNTER, HISTOGRAM, GAUGE):
        draft.seed(series)

    assert {HISTOGRAM: Histogram((0, 1, 0), 2.0), GAUGE: 0.0} == dict(draft.items())


@pytest.mark.parametrize(
    ("run_count", "counted", "expected"), [(0, 0, 0), (1, 0, 0), (3, 0, 2), (3, 2, 1), (2, 3, 0)]
)
def test_starts_beyond_those_counted_are_retries(
    run_count: int, counted: int, expected: int
) -> None:
    """The first start of a run is no retry; a count that fell takes nothing back."""
    draft = Draft(tally())
    draft.take(Fact(UUID(int=1), 5, (Retried(COUNTER, run_count),)), counted)

    assert {COUNTER: float(expected)} == dict(draft.items())


def test_empty_histogram_fits_its_bounds() -> None:
    """There is one bucket a bound and one above them all."""
    assert Histogram((0, 0, 0), 0.0) == empty_histogram(SPENT)


def example(value: float, at_us: int = 5) -> Exemplar:
    """Return an exemplar of that value and time."""
    return Exemplar(Trace("a" * 32, "b" * 16), value, at_us)


@pytest.mark.parametrize(
    ("series", "value", "place"),
    [(COUNTER, 1.0, 0), (HISTOGRAM, 0.0, 0), (HISTOGRAM, 10.0, 1), (HISTOGRAM, 10.1, 2)],
)
def test_exemplar_stands_in_its_bucket(series: Series, value: float, place: int) -> None:
    """An exemplar is shown where its observation was counted; a counter has one place."""
    it = tally()
    it.exemplify(series, example(value))

    assert {place: example(value)} == it.exemplars(series)


def test_newest_exemplar_stays() -> None:
    """Of two exemplars of a bucket the later one is shown, as Prometheus has it."""
    it = tally()
    for value, at_us in ((2.1, 5), (2.2, 9), (2.3, 7), (2.4, 9), (99.0, 1)):
        it.exemplify(HISTOGRAM, example(value, at_us))

    assert {1: example(2.2, 9), 2: example(99.0, 1)} == it.exemplars(HISTOGRAM)


def test_held_series_shows_no_exemplar() -> None:
    """There is no example of what is not shown yet; with the value comes its exemplar."""
    it = tally()
    it.load(COUNTER, 3.0, released=False)
    it.exemplify(COUNTER, example(1.0))
    before = it.exemplars(COUNTER)
    it.show(COUNTER)

    assert ({}, {0: example(1.0)}) == (before, it.exemplars(COUNTER))


def test_forgotten_series_has_no_exemplar() -> None:
    """A series that comes back does not show an example of what was forgotten."""
    it = tally()
    it.load(COUNTER, 3.0, released=True)
    it.exemplify(COUNTER, example(1.0))
    it.forget(COUNTER)

    assert {} == it.exemplars(COUNTER)


def test_exemplars_are_bounded() -> None:
    """Only the series that had an exemplar last keep theirs; who loses them has changed."""
    it = tally()
    series = [Series(ENDS.name, ("t", str(number))) for number in range(MOST_SERIES)]
    for each in series:
        it.exemplify(each, example(1.0))
    it.exemplify(series[0], example(1.0, 6))
    it.changes(ENDS.name)
    it.exemplify(COUNTER, example(1.0))

    assert [1, 0, 1] == [len(it.exemplars(each)) for each in (series[0], series[1], COUNTER)]
    assert {COUNTER.labels, series[1].labels} == it.changes(ENDS.name)


def test_draft_leaves_exemplars_to_the_commit() -> None:
    """What a commit would show as examples is not shown before it is committed."""
    it = tally()
    draft = Draft(it)
    effects = (Add(COUNTER, exemplar=example(1.0)), Observe(HISTOGRAM, 2.0, example(2.0)))
    draft.take(Fact(UUID(int=1), 5, effects), 0)

    assert ({}, {}) == (it.exemplars(COUNTER), it.exemplars(HISTOGRAM))
    assert [(COUNTER, example(1.0)), (HISTOGRAM, example(2.0))] == draft.exemplars
