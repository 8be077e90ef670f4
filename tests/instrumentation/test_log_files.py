"""Lines in a file: put aside by size and age, whole for several processes, no run's concern."""

from __future__ import annotations

import gzip
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._logs.files import RETRIED_AFTER, FileSink

RECORD = logging.makeLogRecord({})

HOUR = 3600

WRITER = """
import json, logging, os, sys
from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._logs.files import FileSink

settings = LogSettings(file=sys.argv[1], file_max_bytes=30_000, file_backups=9999)
sink = FileSink(settings, json.dumps)
sink.write({"by": sys.argv[2], "n": "first"}, logging.makeLogRecord({}))
child = os.fork()
by = sys.argv[2] + ("-parent" if child else "-child")
for n in range(2000):
    sink.write({"by": by, "n": n}, logging.makeLogRecord({}))
if not child:
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
"""Opens the file and forks: two processes that write it, by one handler's copies."""

FIRST = [{"by": "a", "n": "first"}, {"by": "b", "n": "first"}]


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


class Sinks:
    """Sinks of one file, which are closed at the end of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self._all: list[FileSink] = []

    def add(self, **chosen: int) -> FileSink:
        """Return another sink of the file."""
        values: Mapping[str, int] = {"file_backups": 100, "file_max_bytes": 1000_000, **chosen}
        settings = LogSettings(file=str(self.path), **values)  # type: ignore[arg-type]  # by name
        self._all.append(FileSink(settings, json.dumps, self.clock))
        return self._all[-1]

    def close(self) -> None:
        """Let go of the file."""
        for each in self._all:
            each.close()

    def aside(self) -> list[Path]:
        """Return the files that were put aside, the oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))

    def written(self) -> list[object]:
        """Return the events of all files, the oldest first."""
        aside = "".join(gzip.decompress(each.read_bytes()).decode() for each in self.aside())
        return [json.loads(line) for line in (aside + self.path.read_text()).splitlines()]

    def grow_older(self, seconds: int) -> None:
        """Have the file's next rotation come earlier, as the lock file tells all processes."""
        lock = self.path.with_name(f".__{self.path.stem}.lock")
        lock.write_text(str(int(lock.read_text()) - seconds))


@pytest.fixture(name="sinks")
def _sinks(tmp_path: Path) -> Iterator[Sinks]:
    sinks = Sinks(tmp_path / "logs" / "shop.log")
    yield sinks
    sinks.close()


def write(sink: FileSink, *numbers: int) -> None:
    """Write an event for each of the numbers."""
    for number in numbers:
        sink.write({"n": number}, RECORD)


def numbered(*numbers: int) -> list[dict[str, int]]:
    """Return the events of these numbers."""
    return [{"n": number} for number in numbers]


def modes(folder: Path) -> set[str]:
    """Return the modes of a folder's files, hidden ones too."""
    return {oct(each.stat().st_mode & 0o777) for each in folder.iterdir()}


def test_lines_are_in_a_file_of_their_owner(sinks: Sinks) -> None:
    """Folder and file are made; each event is a line as soon as it is written."""
    write(sinks.add(), 1, 2)

    assert '{"n": 1}\n{"n": 2}\n' == sinks.path.read_text()
    assert {"0o600"} == modes(sinks.path.parent)


def test_home_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path may start at the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    sink = FileSink(LogSettings(file="~/shop.log"), json.dumps)
    write(sink, 1)
    sink.close()

    assert '{"n": 1}\n' == (tmp_path / "shop.log").read_text()


def test_large_file_is_put_aside(sinks: Sinks) -> None:
    """Beyond its size a file is compressed; all lines are there, in their order."""
    write(sinks.add(file_max_bytes=100), *range(100))

    assert numbered(*range(100)) == sinks.written()
    assert 9 <= len(sinks.aside()) <= 11
    assert {".gz"} == {each.suffix for each in sinks.aside()}
    assert {"0o600"} == modes(sinks.path.parent)


def test_latest_are_kept(sinks: Sinks) -> None:
    """Of those put aside within a second too, the oldest go, and no line between the rest."""
    write(sinks.add(file_max_bytes=100, file_backups=3), *range(1000))
    written = sinks.written()

    assert 3 == len(sinks.aside())
    assert numbered(*range(1000 - len(written), 1000)) == written


def test_none_are_kept(sinks: Sinks) -> None:
    """With no backups wanted there are none, and not all."""
    write(sinks.add(file_max_bytes=100, file_backups=0), *range(100))

    assert [] == sinks.aside()
    assert sinks.path.stat().st_size < 200


def test_old_file_is_put_aside(sinks: Sinks) -> None:
    """Beyond its age a file is put aside however small, and not before."""
    sink = sinks.add(file_max_age=HOUR)
    write(sink, 1)
    sinks.grow_older(HOUR - 60)
    write(sink, 2)

    assert [] == sinks.aside()

    sinks.grow_older(120)
    write(sink, 3, 4)

    assert 1 == len(sinks.aside())
    assert '{"n": 3}\n{"n": 4}\n' == sinks.path.read_text()
    assert numbered(1, 2, 3, 4) == sinks.written()


def test_age_counts_over_processes(sinks: Sinks) -> None:
    """Whoever opens the file next goes on with its age, and puts aside what was left too old."""
    write(sinks.add(file_max_age=HOUR), 1)
    sinks.grow_older(HOUR - 60)
    write(sinks.add(file_max_age=HOUR), 2)

    assert [] == sinks.aside()

    sinks.grow_older(120)
    write(sinks.add(file_max_age=HOUR), 3)

    assert '{"n": 3}\n' == sinks.path.read_text()
    assert numbered(1, 2, 3) == sinks.written()


def test_age_below_a_second(sinks: Sinks) -> None:
    """An age too short for the library is a second's, and no endless loop."""
    write(sinks.add(file_max_age=0), 1, 2)

    assert numbered(1, 2) == sinks.written()


def test_processes_lose_and_tear_nothing(sinks: Sinks) -> None:
    """Four processes, two of them forked, write one file and put it aside between them."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, sinks.path, name]) for name in ("a", "b")
    ]
    codes = [each.wait(60) for each in writers]
    names = [f"{name}-{kind}" for name in ("a", "b") for kind in ("parent", "child")]
    expected = [{"by": name, "n": n} for name in names for n in range(2000)]
    written = [event for event in sinks.written() if event not in FIRST]

    assert [0, 0] == codes
    assert 5 < len(sinks.aside())
    assert expected == sorted(written, key=lambda each: names.index(each["by"]))  # type: ignore[index]  # JSON


def test_removed_folder_is_made_again(sinks: Sinks, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever clears the folder away costs no line."""
    sink = sinks.add()
    write(sink, 1)
    shutil.rmtree(sinks.path.parent)
    write(sink, 2, 3)

    assert numbered(2, 3) == sinks.written()
    assert "" == capsys.readouterr().err


def test_what_keeps_lines_out_is_told_once(
    sinks: Sinks, capsys: pytest.CaptureFixture[str]
) -> None:
    """One plain line says where and why; lines go there again when they can."""
    sinks.path.parent.write_text("a file where the folder would be")
    sink = sinks.add()
    write(sink, 1)
    sinks.clock.now += RETRIED_AFTER
    write(sink, 2)

    expected = (
        f"prefect_instrumentation: log lines do not reach the file {sinks.path} (File exists);"
        " they are lost until they do. This is said once\n"
    )

    assert expected == capsys.readouterr().err

    sinks.path.parent.unlink()
    write(sink, 3)
    sinks.clock.now += RETRIED_AFTER
    write(sink, 4)

    assert numbered(4) == sinks.written()
    assert "" == capsys.readouterr().err


def test_only_a_regular_file_will_do(sinks: Sinks, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a pipe nor a device is opened, renamed, or made somebody's own."""
    sinks.path.parent.mkdir()
    os.mkfifo(sinks.path, 0o644)
    write(sinks.add(), 1)

    assert "(not a regular file)" in capsys.readouterr().err
    assert "0o644" == oct(sinks.path.stat().st_mode & 0o777)
    assert [sinks.path] == list(sinks.path.parent.iterdir())


def test_missing_library_is_named(
    sinks: Sinks, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, the line says how to have it."""
    monkeypatch.delitem(sys.modules, "prefect_instrumentation._logs.rotating_file", raising=False)
    monkeypatch.setitem(sys.modules, "concurrent_log_handler", None)
    write(sinks.add(), 1)

    assert "(install prefect-instrumentation[logfile])" in capsys.readouterr().err


def test_half_a_line_spoils_no_other(sinks: Sinks) -> None:
    """What a killed process left of a line stays a line of its own."""
    sinks.path.parent.mkdir()
    sinks.path.write_text('{"n": 1}\n{"n"')
    write(sinks.add(), 2, 3)

    assert '{"n": 1}\n{"n"\n{"n": 2}\n{"n": 3}\n' == sinks.path.read_text()


def test_closed_sink_opens_its_file_again(sinks: Sinks) -> None:
    """Whoever configures `logging` closes every handler there is: the next line is written."""
    sink = sinks.add()
    write(sink, 1)
    logging.shutdown(list(logging._handlerList))  # type: ignore[attr-defined]  # noqa: SLF001 - as dictConfig does
    write(sink, 2)
    sink.close()
    write(sink, 3)

    assert numbered(1, 2, 3) == sinks.written()


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_full_disk(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk costs lines while it is full; then they are written again, each whole."""
    sinks = Sinks(small_disk / "shop.log")
    sink = sinks.add()
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 48_000)
    write(sink, *range(10_000))

    assert "No space left on device" in capsys.readouterr().err

    ballast.unlink()
    sinks.clock.now += RETRIED_AFTER
    write(sink, 10_001, 10_002)
    sinks.close()
    *before, _, first, second = sinks.path.read_text().splitlines()

    assert numbered(*range(len(before))) == [json.loads(line) for line in before]
    assert numbered(10_001, 10_002) == [json.loads(first), json.loads(second)]
    assert "" == capsys.readouterr().err
