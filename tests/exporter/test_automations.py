"""Automations: each action counts once, under its automation's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.collectors.automations import ACTIONS, AutomationCollector, Automations
from prefect_exporter.collectors.base import Context
from prefect_exporter.moments import DAY, HOUR, MINUTE, SECOND
from prefect_exporter.wire import Automation, Event
from worlds import collecting, counts, poll, prefect_of


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of(automation_rows=[Automation(UUID(int=1), "pager")])


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def look(context: Context, previous: Automations | None = None) -> Automations:
    """Poll once."""
    return poll(AutomationCollector(context.settings), context, previous)


def act(
    prefect: FakePrefect, number: int, seconds: float, name: str = "pager", *, late: float = 0.0
) -> None:
    """Let an action fail, so long after the first moment; its event is stored *late*."""
    event = Event(
        after_seconds(seconds),
        {"prefect.resource.name": name},
        id=UUID(int=100 + number),
        name="prefect.automation.action.failed",
    )
    prefect.event_rows.append((START_US + round((seconds + late) * SECOND), event))


def at(prefect: FakePrefect, seconds: float) -> None:
    """Let it be so long after the first moment."""
    prefect.now_us = START_US + round(seconds * SECOND)


def failed(context: Context, name: str = "pager") -> float:
    """Return how many actions of an automation have failed."""
    return counts(context, ACTIONS.name)[name, "failed"]


def test_listed_automation_has_its_counters_at_zero(context: Context) -> None:
    """The first failure is a rise, since both outcomes stand at 0 before it."""
    look(context)

    assert {("pager", "executed"): 0.0, ("pager", "failed"): 0.0} == counts(context, ACTIONS.name)


def test_action_counts_once_over_a_restart(prefect: FakePrefect, tmp_path: Path) -> None:
    """Polls go back by an overlap, and a new process goes on where the last one was killed."""
    for seconds in (0, 60, 90):
        at(prefect, seconds)
        act(prefect, seconds, seconds + 1)
        with collecting(tmp_path, prefect) as context:
            look(context)
            look(context)
    at(prefect, 120)
    with collecting(tmp_path, prefect) as context:
        look(context)

        assert 3.0 == failed(context)


def test_history_is_not_counted(prefect: FakePrefect, context: Context) -> None:
    """Counting begins behind the newest action that there is at the first start."""
    act(prefect, 1, -30)
    act(prefect, 2, -20)
    look(context)
    act(prefect, 3, 5)
    at(prefect, 60)
    look(context)

    assert 1.0 == failed(context)


def test_event_that_is_stored_late_counts(prefect: FakePrefect, context: Context) -> None:
    """An event within the overlap is found although a newer one was read before it."""
    look(context)
    act(prefect, 1, 40)
    act(prefect, 2, 20, late=45)
    for seconds in (60, 120):
        at(prefect, seconds)
        look(context)

    assert 2.0 == failed(context)


def test_event_after_a_quiet_month_counts(prefect: FakePrefect, context: Context) -> None:
    """However long nothing happened, the next action counts; Prefect is asked for a week."""
    look(context)
    prefect.now_us += 30 * DAY
    act(prefect, 1, 30 * DAY / SECOND - 10)
    look(context)

    assert 1.0 == failed(context)


def test_event_from_the_future_counts_when_its_time_comes(
    prefect: FakePrefect, context: Context
) -> None:
    """One that is dated ahead neither counts early nor hides those before it."""
    look(context)
    act(prefect, 1, 3600, late=-3590)
    at(prefect, 60)
    look(context)
    act(prefect, 2, 100)
    at(prefect, 120)
    look(context)
    before = failed(context)
    at(prefect, 3600)
    look(context)

    assert (1.0, 2.0) == (before, failed(context))


def test_event_without_an_id_counts_nothing(prefect: FakePrefect, context: Context) -> None:
    """What cannot be told from a second reading of itself is left out."""
    look(context)
    event = Event(after_seconds(10), name="prefect.automation.action.failed")
    prefect.event_rows.append((START_US, event))
    at(prefect, 60)
    look(context)

    assert 0.0 == failed(context)


def test_automation_is_enabled_where_any_of_its_name_is(
    prefect: FakePrefect, context: Context
) -> None:
    """Two with one name are one series."""
    prefect.automation_rows += [
        Automation(UUID(int=2), "pager", enabled=False),
        Automation(UUID(int=3), "off", enabled=False),
    ]

    assert {("pager",): 1.0, ("off",): 0.0} == look(context).enabled


def test_automations_beyond_the_limit_fold(prefect: FakePrefect, tmp_path: Path) -> None:
    """They share one series, their actions too, and are told of as folded."""
    prefect.automation_rows += [Automation(UUID(int=n), f"zz{n}") for n in (2, 3)]
    with collecting(tmp_path, prefect, MAX_AUTOMATIONS="1") as context:
        look(context)
        act(prefect, 1, 10, "zz2")
        act(prefect, 2, 11, "unlisted")
        at(prefect, 60)
        state = look(context)

        assert {("pager",), ("other",)} == set(state.enabled)
        assert 2 == state.folded
        assert 2.0 == failed(context, "other")


def test_burst_is_counted_over_several_polls(prefect: FakePrefect, tmp_path: Path) -> None:
    """Beyond the budget of pages events wait for the next poll, and that is told."""
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="2") as context:
        states = [look(context)]
        for number in range(150):
            act(prefect, number, 10 + number / 10)
        for seconds in (60, 120, 180):
            at(prefect, seconds)
            states.append(look(context))

        assert [False, True, False, False] == [state.truncated for state in states]
        assert 150.0 == failed(context)


def test_old_keys_are_forgotten(prefect: FakePrefect, context: Context) -> None:
    """After hours of actions, what no poll goes back to is no longer kept, nor counted again."""
    look(context)
    for number, minutes in enumerate(range(0, 180, 30)):
        act(prefect, number, minutes * 60 + 1)
        prefect.now_us = START_US + minutes * MINUTE + 2 * SECOND
        look(context)
    cursor = context.store.ledger.cursor(context.target, AutomationCollector.name)

    assert cursor is not None
    assert cursor.origin_us > START_US + HOUR
    assert 6.0 == failed(context)
