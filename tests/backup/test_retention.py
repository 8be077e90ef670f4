"""What is forgotten: as grandfather, father and son have it, and never everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backup.model import Kind
from backup.retention import Retention
from backup_worlds import aged, repository_of, settings_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_settings_are_the_retention(tmp_path: Path) -> None:
    """Each number goes where it belongs."""
    chosen = settings_of(
        tmp_path, KEEP_LAST="1", KEEP_DAILY="2", KEEP_WEEKLY="3", KEEP_MONTHLY="4", KEEP_YEARLY="5"
    )

    assert Retention(last=1, daily=2, weekly=3, monthly=4, yearly=5) == Retention.of(chosen)


def test_nothing_is_no_retention() -> None:
    """A retention that keeps no snapshot cannot be."""
    with pytest.raises(ValueError, match="keeps no snapshot"):
        Retention(last=0)


@pytest.mark.real
def test_generations_are_kept(tmp_path: Path) -> None:
    """Of a year of snapshots the newest, and the last of each day, week and month stay."""
    repository = repository_of(settings_of(tmp_path))
    repository.ready()
    ages = [0, 1, 2, 3, 8, 9, 40, 41, 75]
    for days in ages:
        aged(repository, Kind.DATABASE, NOW - timedelta(days=days))

    repository.forget(Retention(last=1, daily=3, weekly=2, monthly=3), Kind.DATABASE)

    kept = [(NOW - each.time).days for each in repository.snapshots(Kind.DATABASE)]
    # Three days, two weeks (one of them the first days'), three months (as above).
    assert [75, 40, 8, 2, 1, 0] == kept


@pytest.mark.real
def test_safety_snapshots_are_kept_for_two_weeks(tmp_path: Path) -> None:
    """What a restore put aside stays for 14 days, and does not take a place from the others."""
    repository = repository_of(settings_of(tmp_path))
    repository.ready()
    for days in (30, 13, 1):
        aged(repository, Kind.DATABASE, NOW - timedelta(days=days), safety="yes")
    aged(repository, Kind.DATABASE, NOW - timedelta(days=20))

    repository.forget(Retention(last=1), Kind.DATABASE)

    safe = repository.snapshots(Kind.DATABASE, safety=True)
    assert [13, 1] == [(NOW - each.time).days for each in safe]
    assert 1 == len(repository.snapshots(Kind.DATABASE))


@pytest.mark.real
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keep=st.builds(
        Retention,
        last=st.integers(1, 3),
        daily=st.integers(0, 2),
        weekly=st.integers(0, 2),
        monthly=st.integers(0, 1),
        yearly=st.integers(0, 1),
    ),
    ages=st.lists(st.integers(0, 800), min_size=1, max_size=3, unique=True),
)
def test_newest_snapshot_always_stays(
    tmp_path_factory: pytest.TempPathFactory, keep: Retention, ages: list[int]
) -> None:
    """Whatever is to be kept, and however old all are, the newest is."""
    repository = repository_of(settings_of(tmp_path_factory.mktemp("kept")))
    repository.ready()
    for days in ages:
        aged(repository, Kind.OBJECTS, NOW - timedelta(days=days))
    newest = repository.find(Kind.OBJECTS)

    repository.forget(keep, Kind.OBJECTS)

    kept = repository.snapshots(Kind.OBJECTS)
    assert newest == kept[-1]
    assert min(keep.last, len(ages)) <= len(kept)
