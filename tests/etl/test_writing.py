"""Files that are there whole or not at all, whatever happens, and whoever else writes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from backup_worlds import small_disk
from etl import writing
from etl.errors import DestinationFull
from etl.lake import Lake
from etl.model import Extracted, RowId, Validated
from etl.rules import LOADED, REJECTED
from etl.source import Row
from etl.spool import publish_pages, write_rows
from etl.validation import convert, validate
from etl.writing import commit, commit_replayed, committed, publish, publish_folder, scratch, sweep
from order_rows import row

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAME = "1-0-1-9"
RATES = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}


def _converted(lake: Lake, *orders: bytes, name: str = NAME) -> Validated:
    """Put orders in the spool, and take them through the steps before the commit."""
    rows = [Row(RowId(1, at), len(raw), raw) for at, raw in enumerate(orders)]

    def fill(folder: Path) -> tuple[str, dict[str, int | str]]:
        write_rows(folder, [rows])
        return f"{name}.{len(rows)}", {}

    extracted = Extracted(name, publish_pages(lake, fill), len(rows), 1)
    return convert(lake, validate(lake, extracted, now=NOW), RATES)


def _copy(lake: Lake, validated: Validated) -> Validated:
    """Return what another worker has made of the same chunk, in a folder of its own."""
    folder = lake.spool / f"other.{validated.folder.name}"
    shutil.copytree(validated.folder, folder)
    return replace(validated, folder=folder)


def _files(lake: Lake) -> list[str]:
    return sorted(
        str(path.relative_to(lake.folder)) for path in lake.folder.rglob("*") if path.is_file()
    )


def _unsettled(lake: Lake) -> str:
    return f"rejected/.part-{NAME}.{writing.token(lake, NAME)}"


def test_chunk_is_two_files(lake: Lake) -> None:
    """Good rows and rejected ones, compressed, with the columns that were promised, no more."""
    done = commit(lake, _converted(lake, row(1), b"bad", row(2)))
    part = pl.scan_parquet(lake.part(NAME))
    rejected = pl.read_parquet(lake.folder / _unsettled(lake))

    assert (2, 1, 0, True) == (done.accepted, done.rejected, done.lost, done.new)
    assert LOADED == part.collect_schema().names()
    assert ["1-0", "1-2"] == part.collect()["row_id"].to_list()
    assert (REJECTED, ["1-1"]) == (rejected.columns, rejected["row_id"].to_list())
    assert [_unsettled(lake), f"part-{NAME}.parquet"] == sorted(_files(lake), reverse=True)
    assert done.bytes == done.path.stat().st_size


def test_chunk_is_committed_once(lake: Lake) -> None:
    """Who comes later changes nothing, is told what there is, and leaves nothing behind."""
    mine = _converted(lake, row(1), b"bad")
    late = _copy(lake, mine)
    first = commit(lake, mine)
    before = lake.part(NAME).read_bytes()
    second = commit(lake, replace(late, rejected=0))

    assert replace(first, new=False) == second == committed(lake, NAME)
    assert before == lake.part(NAME).read_bytes()
    assert [f"part-{NAME}.parquet", _unsettled(lake)] == _files(lake)


def test_workers_that_commit_at_once_agree(lake: Lake) -> None:
    """One of eight commits; the rejected rows of the others are no part of it, and gone."""
    mine = _converted(lake, row(1), b"bad")
    copies = [_copy(Lake(lake.destination, lake.client), mine)]
    copies += [replace(mine, folder=_twin(mine, number)) for number in range(7)]
    with ThreadPoolExecutor(8) as workers:
        found = list(workers.map(lambda each: commit(lake, each), copies))

    assert [True] == [each.new for each in found if each.new]
    assert 1 == len({replace(each, new=False) for each in found})
    assert [_unsettled(lake)] == [name for name in _files(lake) if name.startswith("rejected")]


def _twin(validated: Validated, number: int) -> Path:
    folder = validated.folder.with_name(f"twin-{number}.converted")
    shutil.copytree(validated.folder, folder)
    return folder


def test_spool_that_another_has_removed_is_no_failure(lake: Lake) -> None:
    """Where the chunk is committed by then; where it is not, it is one."""
    mine = _converted(lake, row(1))
    gone = replace(mine, folder=lake.spool / "gone.converted")
    with pytest.raises((OSError, pl.exceptions.PolarsError)):
        commit(lake, gone)
    commit(lake, mine)

    assert 1 == commit(lake, gone).accepted


def test_loss_is_kept_with_the_part(lake: Lake) -> None:
    """Years later it can still be told that rows are missing, and how many."""
    commit(lake, replace(_converted(lake, row(1)), lost=7))
    found = committed(lake, NAME)

    assert found
    assert (1, 7) == (found.accepted, found.lost)


@pytest.mark.real
def test_full_disk_commits_nothing(tmp_path: Path) -> None:
    """The error says where and how little is free; no file stays, and with space it goes on."""
    with small_disk(tmp_path, "1m") as disk:
        lake = Lake(disk / "lake", "acme")
        validated = _converted(lake, *(row(number) for number in range(3000)), b"bad")
        before = _files(lake)
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (shutil.disk_usage(disk).free - 8192))
        with pytest.raises(DestinationFull) as caught:
            commit(lake, validated)
        after = _files(lake)
        ballast.unlink()
        done = commit(lake, validated)

    assert lake.folder == caught.value.folder
    assert caught.value.free_bytes <= 8192
    assert before == after
    assert (3000, 1, True) == (done.accepted, done.rejected, done.new)


@pytest.mark.real
def test_full_disk_is_seen_in_every_step(tmp_path: Path) -> None:
    """Also where raw rows are written: the same error, and the spool is as before."""
    with small_disk(tmp_path, "1m") as disk:
        lake = Lake(disk / "lake", "acme")
        lake.spool.mkdir(parents=True)
        with pytest.raises(DestinationFull):
            _converted(lake, *(os.urandom(30_000) for _ in range(60)))

        assert [] == _files(lake)


def test_other_errors_stay_what_they_are(lake: Lake) -> None:
    """Only a lack of space is called one; the folder is gone all the same."""
    with pytest.raises(PermissionError), scratch(lake):
        raise PermissionError(13, "not yours")

    assert [] == list(lake.tmp.iterdir())


def test_file_is_not_overwritten(lake: Lake) -> None:
    """The first one stays as it is."""
    final = lake.folder / "final"
    with scratch(lake) as folder:
        found = []
        for number in range(2):
            file = folder / f"{number}"
            file.write_text(file.name)
            found.append(publish(file, final))

    assert ([True, False], "0") == (found, final.read_text())


def test_folder_is_not_overwritten(lake: Lake) -> None:
    """The first one stays as it is, with all its files and no other."""
    final = lake.spool / "final"
    found = []
    for number in range(2):
        with scratch(lake) as folder:
            (folder / "pages").mkdir()
            (folder / "pages" / f"{number}").touch()
            found.append(publish_folder(folder / "pages", final))

    assert ([True, False], ["0"]) == (found, [path.name for path in final.iterdir()])


@pytest.fixture(name="dead_pid")
def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_the_dead_are_removed(lake: Lake, dead_pid: int) -> None:
    """At once where their process was on this machine; elsewhere a day after the last change."""
    host, now = socket.gethostname(), time.time()
    names = [f"{host}.{dead_pid}.a", f"{host}.{os.getpid()}.b", f"elsewhere.{dead_pid}.c", "odd"]
    for name in names:
        (lake.tmp / name).mkdir(parents=True)
    at_once = sweep(lake, now=now), sorted(path.name for path in lake.tmp.iterdir())
    later = sweep(lake, now=now + 90_000), list(lake.tmp.iterdir())

    assert (1, sorted(names[1:])) == at_once
    assert (3, []) == later


def test_sweep_of_nothing_is_fine(lake: Lake) -> None:
    """A client's first run has no folder yet."""
    assert 0 == sweep(lake)


def _loaded(file: Path, row_id: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({name: [row_id] for name in LOADED}).write_parquet(file)


@pytest.mark.timeout(60)  # without end where it breaks
def test_gap_in_replayed_files_stops_no_replay(lake: Lake) -> None:
    """Where somebody has removed a file, the next replay's comes after the last one."""
    spool = lake.spool / "replay-x.1.valid"
    _loaded(lake.replayed / "000002.parquet", "2-0")
    _loaded(lake.rejected / "part-3-0-3-0.parquet", "3-0")
    _loaded(spool / "accepted-000001.parquet", "3-0")
    done = commit_replayed(lake, Validated("replay-x", spool, 1, 0, 1))

    assert (1, "000003.parquet") == (done.accepted, done.path.name)
