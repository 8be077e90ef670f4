"""What a person types, and reads, at a restore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backup.errors import BadSetting, ProgramFailed, SchemaTooNew
from backup.model import Kind, Manifest
from backup.programs import Command
from backup.restore import at_time
from backup.restore_model import shown_span
from backup.restore_stream import output_of
from backup.restoring import Wish, restore
from backup.schema import check_known, is_newest, known_revisions
from backup_worlds import ScriptedSource, repository_of, settings_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T03:00Z", datetime(2026, 11, 20, 3, tzinfo=UTC)),
        ("2026-11-20 03:00:59Z", datetime(2026, 11, 20, 3, 0, 59, tzinfo=UTC)),
        (
            "2026-11-20T03:00+01:00",
            datetime(2026, 11, 20, 3, tzinfo=timezone(timedelta(hours=1))),
        ),
    ],
)
def test_a_time_has_a_zone(text: str, expected: datetime) -> None:
    """In any form of ISO 8601."""
    assert expected == at_time(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-20T03:00", "--at says no time zone: write 2026-11-20T03:00Z"),
        ("2026-11-20", "--at says no time zone"),
        ("yesterday", "--at is no time: write it as 2026-11-20T03:00Z"),
        ("", "--at is no time"),
    ],
)
def test_a_time_without_one_is_refused(text: str, said: str) -> None:
    """Nobody's own clock is guessed: an hour of runs may hang on it."""
    with pytest.raises(BadSetting) as caught:
        at_time(text)

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 seconds"),
        (0.4, "0 seconds"),
        (61, "1 minute 1 second"),
        (7_200, "2 hours"),
        (93_784, "1 day 2 hours"),
        (86_400 * 40 + 1, "40 days 1 second"),
    ],
)
def test_a_span_has_two_units(seconds: float, expected: str) -> None:
    """The largest that it has."""
    assert expected == shown_span(seconds)


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_one_revision_is_the_newest(engine: str) -> None:
    """Of more than a hundred that the installed Prefect knows."""
    found = known_revisions(engine)

    newest = [each for each in found if is_newest(_of(engine, each))]
    assert 100 < len(found)
    assert 1 == len(newest)


def test_an_unknown_revision_is_too_new() -> None:
    """It is of a Prefect that came later; those of another engine are unknown too."""
    [newest] = [each for each in known_revisions("sqlite") if is_newest(_of("sqlite", each))]

    check_known(_of("sqlite", newest))
    with pytest.raises(SchemaTooNew, match="update the stack first"):
        check_known(_of("postgresql", newest))


def test_a_pipe_tells_of_what_ended_first() -> None:
    """Where pg_restore gives up, the broken pipe of what fed it is not the point."""
    programs = [
        Command(argv=["yes"]),
        Command(argv=["sh", "-c", "echo 'error: cannot write' >&2; exit 1"]),
    ]

    with pytest.raises(ProgramFailed, match="cannot write"):
        list(output_of(programs))


@pytest.mark.real
def test_a_snapshot_is_not_anothers_than_was_said(tmp_path: Path) -> None:
    """Two options that do not fit are refused before anything is looked at."""
    address = tmp_path / "address"
    address.write_text(f"sqlite:///{tmp_path}/prefect.db")
    settings = settings_of(tmp_path, DATABASE_FILE=str(address))
    repository = repository_of(settings).of_target("staging")
    repository.ready()
    snapshot = ScriptedSource("echo 1").save(repository)
    wish = Wish(
        kind=Kind.DATABASE,
        snapshot=snapshot.id,
        at=None,
        target="production",
        into_file=None,
        yes=True,
    )

    said = f"--snapshot {snapshot.id[:8]} is of the target staging, and --target names another"
    with pytest.raises(BadSetting, match=said):
        restore(settings, wish)


def _of(engine: str, revision: str) -> Manifest:
    return Manifest(engine=engine, revision=revision, rows={})
