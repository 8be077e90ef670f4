"""The file of a report that is being made."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import ExporterError
from prefect_exporter.moments import HOUR, MINUTE
from prefect_exporter.report import state as states
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.state import State, default_path, kept_in
from prefect_exporter.report.store import Step
from prefect_exporter.ui_links import ui_links

API_URL = "http://prefect.test/api"
NOW_US = 1_000 * HOUR
QUESTION = Question(
    "default", API_URL, ui_links(API_URL), Period(NOW_US - 10 * HOUR, NOW_US), NOW_US
)
LATER_US = NOW_US + 5 * MINUTE
LATER = replace(QUESTION, period=Period(LATER_US - 10 * HOUR, LATER_US), now_us=LATER_US)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    with State(path, "asked", QUESTION) as state:
        state.store.set_step("flow_runs", Step(rows=7))
    return path


def test_same_question_goes_on(path: Path) -> None:
    """What was read is there, and so are the times that it was read for."""
    with State(path, "asked", LATER) as state:
        assert state.goes_on
        assert state.question == QUESTION
        assert state.store.step("flow_runs").rows == 7


@pytest.mark.parametrize("damage", ["other", "old", "fresh", "broken", "empty", "format", "times"])
def test_what_cannot_go_on_begins_anew(
    path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another question, one of long ago, another format, a broken file: nothing of it is used."""
    asked, question = "asked", LATER
    match damage:
        case "other":
            asked = "something else"
        case "old":
            now_us = NOW_US + 6 * HOUR
            question = replace(QUESTION, period=Period(now_us - 1, now_us), now_us=now_us)
        case "broken":
            path.write_bytes(path.read_bytes()[:100] + b"\xff" * 9_000)
        case "empty":
            path.write_bytes(b"")
        case "format":
            monkeypatch.setattr(states, "FORMAT", "2")
        case "times":
            with State(path, "asked", QUESTION) as state:
                state.store.set_meta("question", "[]")
    with State(path, asked, question, fresh=damage == "fresh") as state:
        assert not state.goes_on
        assert state.question == question
        assert state.store.step("flow_runs") == Step()


def test_file_is_read_by_its_owner_alone(path: Path) -> None:
    """It holds names, messages and the variables of jobs."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_second_report_of_the_same_state_is_refused(path: Path) -> None:
    """Two at once would write over each other; the error says what to do."""
    with State(path, "asked", QUESTION), pytest.raises(BadSettings, match="another --state"):
        State(path, "asked", QUESTION)


def test_state_that_cannot_be_written_is_an_option_s_error(tmp_path: Path) -> None:
    """The option is named."""
    with pytest.raises(BadSettings, match="--state"):
        State(tmp_path / "no" / "state.db", "asked", QUESTION)


def test_removed_state_is_gone(path: Path) -> None:
    """Once its report is written nothing of it stays."""
    with State(path, "asked", LATER) as state:
        state.remove()

    assert list(path.parent.iterdir()) == []


def test_each_question_has_its_own_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the user's cache, in a folder of the user's alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, other = default_path("one"), default_path("other")

    assert one != other
    assert one == default_path("one")
    assert one.parent == tmp_path / "cache" / "prefect-exporter"
    assert stat.S_IMODE(one.parent.stat().st_mode) == 0o700


def test_default_is_elsewhere_where_there_is_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without a home that can be written still makes reports."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))

    assert default_path("one").parent.parent == tmp_path


@pytest.mark.parametrize("content", [b"precious", b"SQLite format 3\x00" + b"\x01" * 9_000])
def test_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A wrong --state, such as another database or a report, is refused and not emptied."""
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(BadSettings, match="is not the state of a report"):
        State(path, "asked", QUESTION, fresh=True)

    assert content == path.read_bytes()


@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_state_is_a_plain_file(tmp_path: Path, kind: str) -> None:
    """No link is followed, and what no database can be is one line that names the option."""
    path, elsewhere = tmp_path / "state.db", tmp_path / "elsewhere"
    match kind:
        case "link":
            path.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/null")
    with pytest.raises(BadSettings, match="--state"):
        State(path, "asked", QUESTION)

    assert not elsewhere.exists()


def test_zeros_that_a_crash_left_are_begun_anew(tmp_path: Path) -> None:
    """A machine that stopped must not stop every later report of the same question."""
    path = tmp_path / "state.db"
    path.write_bytes(bytes(4_096))
    with State(path, "asked", QUESTION) as state:
        assert not state.goes_on


@pytest.mark.parametrize("trap", ["open", "link", "other"])
def test_folder_that_others_may_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    """Whoever makes it in /tmp first could put a link to any file of this user's there."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"prefect-exporter-{os.getuid()}"
    match trap:
        case "open":
            folder.mkdir()
            folder.chmod(0o777)
        case "link":
            folder.symlink_to(tmp_path)
        case "other":
            folder.mkdir()
            other = os.getuid() + 1
            monkeypatch.setattr("os.getuid", lambda: other)
            folder.rename(tmp_path / f"prefect-exporter-{other}")
    with pytest.raises(BadSettings, match="give --state"):
        default_path("one")


def test_user_without_a_home_or_a_name_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as any number."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))

    assert default_path("one").parent.parent == tmp_path


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_full_disk_is_one_line(path: Path) -> None:
    """It says where there is no room, and what to do."""
    with pytest.raises(ExporterError, match=r"state\.db.*full; free some space, or give another"):
        _run(path, "PRAGMA max_page_count=1", "CREATE TABLE more AS SELECT randomblob(100000)")


def test_mistake_in_a_query_is_not_called_a_full_disk(path: Path) -> None:
    """Only what the disk does is told so; a mistake of ours keeps its traceback."""
    with pytest.raises(sqlite3.OperationalError):
        _run(path, "SELECT nothing FROM nowhere")


def _run(path: Path, *queries: str) -> None:
    with kept_in(path), State(path, "asked", QUESTION) as state:
        for query in queries:
            state.store.database.execute(query)
