"""The ledger's file: who may open it, and what becomes of one that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from prefect_exporter.errors import (
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    LedgerInUse,
    LedgerTooNew,
    LedgerUnreadable,
)
from prefect_exporter.ledger import open_ledger
from prefect_exporter.ledger.database import SCHEMA_VERSION, connect, move_aside, transaction

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEYS = "INSERT INTO seen VALUES (1, ?, zeroblob(16))"

HOLDER = """
import pathlib, sys
from prefect_exporter.ledger.database import connect
connection = connect(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def mounted(folder: Path, options: str) -> bool:
    """Mount a file system of its own on *folder*; say whether that was allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted(folder, "size=1m"):
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def number_of_keys(con: sqlite3.Connection) -> int:
    """Return how many keys the file has."""
    (number,) = con.execute("SELECT count(*) FROM seen").fetchone()
    return int(number)


def test_new_file_has_its_version(tmp_path: Path) -> None:
    """A new ledger is stamped with the schema's version."""
    with closing(connect(tmp_path / "ledger")) as con:
        (version,) = con.execute("PRAGMA user_version").fetchone()

    assert SCHEMA_VERSION == version


def test_commits_are_durable(tmp_path: Path) -> None:
    """A commit is on the disk when it returns: rollback journal, every write synchronous."""
    with closing(connect(tmp_path / "ledger")) as con:
        (synchronous,) = con.execute("PRAGMA synchronous").fetchone()
        (journal,) = con.execute("PRAGMA journal_mode").fetchone()

    assert (2, "delete") == (synchronous, journal)


def test_second_process_is_refused(tmp_path: Path) -> None:
    """While one process holds the ledger, no other one opens it, and it says what to do."""
    path = tmp_path / "ledger"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        with pytest.raises(LedgerInUse, match="held by another process: stop that one"):
            connect(path)
        holder.communicate()

    with closing(connect(path)) as con:
        assert 0 == number_of_keys(con)


def test_killed_process_holds_nothing(tmp_path: Path) -> None:
    """A process that was killed inside a transaction leaves the file free, and as it was."""
    path = tmp_path / "ledger"
    writing = HOLDER.replace(
        'print("held"',
        f'connection.execute("BEGIN"); connection.execute("{KEYS}", (1,)); print("held"',
    )
    command = [sys.executable, "-c", writing, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        holder.kill()

    with closing(connect(path)) as con:
        assert 0 == number_of_keys(con)


def test_newer_version_is_refused(tmp_path: Path) -> None:
    """A ledger of a later release stays untouched."""
    path = tmp_path / "ledger"
    with closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA user_version = 99")
        con.execute("CREATE TABLE later (x)")
    before = path.read_bytes()

    with pytest.raises(LedgerTooNew, match=r"newer prefect-exporter \(ledger version 99"):
        connect(path)

    assert before == path.read_bytes()


def _no_folder(folder: Path) -> Path:
    return folder / "missing" / "ledger"


def _a_folder(folder: Path) -> Path:
    (folder / "ledger").mkdir()
    return folder / "ledger"


def test_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    """Counts stay, the missing table is made, and last ends that nothing would raise are gone."""
    last = "prefect_flow_run_last_finished_timestamp_seconds"
    told = [(last, f'["test","etl","{name}","failed"]') for name in ("", "other", "daily")]
    counted = ("prefect_flow_run_retries_total", '["test","etl","daily"]')
    path = tmp_path / "ledger"
    with closing(connect(path)) as con:
        con.executemany("INSERT INTO scalar VALUES (?, ?, 7.0, 1)", [*told, counted])
        con.execute("DROP TABLE streak")
        con.execute("PRAGMA user_version = 1")

    with closing(connect(path)) as con:
        kept = con.execute("SELECT family, labels FROM scalar").fetchall()
        streaks = con.execute("SELECT * FROM streak").fetchall()
        (version,) = con.execute("PRAGMA user_version").fetchone()

    assert {*told[:2], counted} == set(kept)
    assert ([], SCHEMA_VERSION) == (streaks, version)


@pytest.mark.parametrize("make", [_no_folder, _a_folder], ids=["no folder", "a folder"])
def test_path_that_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """A path that cannot be opened is told with the setting that names it."""
    with pytest.raises(LedgerUnreadable, match="PREFECT_EXPORTER_STATE_PATH"):
        connect(make(tmp_path))


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Where a file stands in the way of the folder, the ledger says so."""
    (tmp_path / "file").touch()

    with pytest.raises(
        LedgerUnreadable, match=r"folder of the ledger .* cannot be made: file exists"
    ):
        open_ledger(tmp_path / "file" / "ledger", {}, {}, NOW)


def test_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A missing folder is made, and nobody else may look into it."""
    open_ledger(tmp_path / "state" / "ledger", {}, {}, NOW).close()

    assert 0o700 == (tmp_path / "state").stat().st_mode & 0o777


def test_read_only_file_is_refused(disk: Path) -> None:
    """A ledger that cannot be written is refused at once, not at the first commit."""
    connect(disk / "ledger").close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    with pytest.raises(LedgerUnreadable, match="PREFECT_EXPORTER_STATE_PATH"):
        connect(disk / "ledger")


def test_garbage_is_moved_aside(tmp_path: Path) -> None:
    """A file that is no ledger makes room for a new one; it is kept, told, and dated."""
    path = tmp_path / "ledger"
    path.write_bytes(b"not a database" * 1000)

    with capture_logs() as logs:
        ledger = open_ledger(path, {}, {}, NOW)
    replaced = ledger.replaced_seconds
    ledger.close()

    aside = tmp_path / "ledger.damaged-20261121T120000.000000Z"
    assert aside.read_bytes().startswith(b"not a database")
    assert [("ledger.replaced", "error", str(aside))] == [
        (line["event"], line["log_level"], line["moved_to"]) for line in logs
    ]
    assert NOW.timestamp() == replaced


def test_journal_goes_with_a_damaged_file(tmp_path: Path) -> None:
    """An old journal is never played into the new ledger."""
    path = tmp_path / "ledger"
    path.write_bytes(b"damaged")
    (tmp_path / "ledger-journal").write_bytes(b"of the damaged one")

    aside = move_aside(path, "now")

    assert tmp_path / "ledger.damaged-now" == aside
    assert b"of the damaged one" == (tmp_path / "ledger.damaged-now-journal").read_bytes()
    assert {"ledger.damaged-now", "ledger.damaged-now-journal"} == {
        path.name for path in tmp_path.iterdir()
    }


def test_error_inside_undoes_the_transaction(tmp_path: Path) -> None:
    """What was written before an error of any kind is not kept."""
    path = tmp_path / "ledger"
    with closing(connect(path)) as con:
        with suppress(KeyboardInterrupt), transaction(con, path):
            con.execute(KEYS, (1,))
            raise KeyboardInterrupt

        assert 0 == number_of_keys(con)


def test_full_disk_is_told_and_undone(disk: Path) -> None:
    """A commit that does not fit says so, changes nothing, and works again when there is room."""
    path, ballast = disk / "ledger", disk / "ballast"
    with closing(connect(path)) as con:
        ballast.write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))

        with pytest.raises(LedgerFull, match="disk is full"), transaction(con, path):
            con.executemany(KEYS, [(at_us,) for at_us in range(1000)])

        assert 0 == number_of_keys(con)
        ballast.unlink()
        with transaction(con, path):
            con.execute(KEYS, (1,))
        assert 1 == number_of_keys(con)


class Broken:
    """What SQLite may raise, by the name of its code."""

    def __init__(self, code: str) -> None:
        self.error = sqlite3.OperationalError("as SQLite says it")
        self.error.sqlite_errorname = code

    def execute(self, _sql: str) -> Any:  # noqa: ANN401  # as sqlite3 has it
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("SQLITE_BUSY_RECOVERY", LedgerInUse),
        ("SQLITE_CORRUPT_INDEX", LedgerDamaged),
        ("SQLITE_IOERR_WRITE", LedgerError),
        ("SQLITE_PERM", LedgerUnreadable),
        ("SQLITE_READONLY_DIRECTORY", LedgerUnreadable),
    ],
)
def test_each_code_has_its_error(tmp_path: Path, code: str, expected: type[LedgerError]) -> None:
    """SQLite's extended codes go by their first part; an unknown one is still ours."""
    con: Any = Broken(code)

    with pytest.raises(LedgerError) as caught, transaction(con, tmp_path):
        pass

    assert expected is type(caught.value)
