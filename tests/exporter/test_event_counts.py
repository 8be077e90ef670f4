"""Events by name: windows that never overlap, each counted once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.collectors.base import Context, Counting
from prefect_exporter.collectors.events import EVENTS, WINDOW_US, EventCollector
from prefect_exporter.errors import Unreachable
from prefect_exporter.feeds.event_pages import RETENTION_US
from prefect_exporter.moments import HOUR, MINUTE, SECOND
from prefect_exporter.wire import Event
from worlds import collecting, counts, poll, prefect_of, total

ASKS = "events/count-by/event"


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def look(context: Context) -> Counting:
    """Poll once."""
    return poll(EventCollector(context.settings), context)


def happen(prefect: FakePrefect, seconds: float, name: str = "mine", late: float = 0.0) -> None:
    """Let something happen so long after the first moment, stored *late*."""
    event = Event(after_seconds(seconds), name=name)
    prefect.event_rows.append((START_US + round((seconds + late) * SECOND), event))


def at(prefect: FakePrefect, seconds: float) -> None:
    """Let it be so long after the first moment."""
    prefect.now_us = START_US + round(seconds * SECOND)


def test_each_event_counts_once_over_restarts(prefect: FakePrefect, tmp_path: Path) -> None:
    """Windows follow each other without a gap or an overlap, whichever process asks."""
    for tenth in range(600):
        happen(prefect, tenth / 10)
    for seconds in (0, 61, 100.25, 130, 131, 200, 300):
        at(prefect, seconds)
        with collecting(tmp_path, prefect) as context:
            look(context)
            look(context)
            found = counts(context, EVENTS.name)

    assert {("mine",): 600.0} == found


def test_what_is_not_settled_waits(prefect: FakePrefect, context: Context) -> None:
    """An event counts when its window is two minutes old, so that it may be stored until then."""
    look(context)
    happen(prefect, 10, late=110)
    seen = []
    for seconds in (60, 129, 131):
        at(prefect, seconds)
        look(context)
        seen.append(total(context, EVENTS.name))

    assert [0.0, 0.0, 1.0] == seen


def test_failed_poll_loses_nothing(prefect: FakePrefect, context: Context) -> None:
    """The window stays open until it was counted."""
    look(context)
    happen(prefect, 10)
    at(prefect, 200)
    prefect.down(Unreachable(ASKS, "connection refused"))
    with pytest.raises(Unreachable):
        look(context)
    prefect.up()
    look(context)

    assert 1.0 == total(context, EVENTS.name)


def test_outage_is_counted_in_short_windows(prefect: FakePrefect, context: Context) -> None:
    """After five hours Prefect is not asked for more than one of them at a time."""
    look(context)
    for minutes in range(300):
        happen(prefect, minutes * 60)
    prefect.asked.clear()
    prefect.now_us = START_US + 5 * HOUR
    look(context)

    assert [ASKS] * 5 == prefect.asked
    assert 298.0 == total(context, EVENTS.name)


def test_outage_of_months_is_bounded(prefect: FakePrefect, context: Context) -> None:
    """What Prefect has deleted by now is not asked for."""
    look(context)
    prefect.asked.clear()
    prefect.now_us = START_US + 20 * RETENTION_US
    look(context)

    assert RETENTION_US // WINDOW_US == len(prefect.asked)


def test_clock_that_is_set_back_counts_nothing_twice(
    prefect: FakePrefect, context: Context
) -> None:
    """Windows go forward only."""
    look(context)
    happen(prefect, 10)
    for seconds in (200, 100, 150, 210):
        at(prefect, seconds)
        look(context)

    assert 1.0 == total(context, EVENTS.name)


def test_names_beyond_the_limit_fold(prefect: FakePrefect, tmp_path: Path) -> None:
    """They are added up under ``other``, and told of as folded."""
    with collecting(tmp_path, prefect, MAX_EVENT_NAMES="2") as context:
        look(context)
        for name in ("a", "b", "c", "d", "d"):
            happen(prefect, 10, name)
        at(prefect, 200)
        state = look(context)
        found = counts(context, EVENTS.name)

    assert 2 == state.folded
    assert 5.0 == sum(found.values())
    assert ("other",) in found
    assert 3 == len(found)


def test_keys_of_old_windows_are_forgotten(prefect: FakePrefect, context: Context) -> None:
    """The ledger does not grow by a key a minute for ever."""
    for minutes in range(0, 200, 10):
        prefect.now_us = START_US + minutes * MINUTE
        look(context)
    cursor = context.store.ledger.cursor(context.target, EventCollector.name)

    assert cursor is not None
    assert cursor.origin_us > START_US + HOUR
