"""What backups of a server with a history cost, and how long it takes until one is back."""

from __future__ import annotations

import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from backup.database import Database
from backup.drill import Drilled, drill
from backup.model import Kind
from backup.postgres import PostgresSource
from backup.repository import Repository
from backup.settings import Settings
from bench.machine import Spread, percentile, spread
from bench.site import Site
from bench.tables import filled, new_table, spread_text

_TOOLS = Path(__file__).resolve().parents[2] / ".monitoring" / "bin"
_QUIET_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
_GROWTH = 0.01
_PAGE = {"limit": 50, "sort": "END_TIME_DESC"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Dump:
    """One backup, and what the server's clients saw of it.

    Args:
        stored_bytes: By how much the repository grew.
        median: Times as long as before, of requests during the dump.
        p99: The same of the slowest.
    """

    seconds: float
    dumped_bytes: int
    stored_bytes: int
    median: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """What was measured.

    Args:
        database_bytes: Of PostgreSQL's files.
        first: Each into a repository of its own.
        grown: One more backup of a database with a hundredth more flow runs.
        drills: Of that one.
    """

    flow_runs: int
    database_bytes: int
    first: Sequence[Dump]
    grown: Dump
    drills: Sequence[Drilled]


def measure_backup(site: Site, rounds: int, say: Say) -> Backups:
    """Back up *site* while runs end and a client asks, then more of it, then restore that."""
    database = Database.of(site.database_url)
    with _restic_found(), site.live():
        first = []
        for number in range(rounds):
            shutil.rmtree(site.sandbox.folder / "backup", ignore_errors=True)
            settings = _settings(site)
            first.append(_dump(site, database, settings))
            say(f"backup {number + 1} of {rounds}: {first[-1].seconds:.1f} s")
    with _restic_found():
        with site.live(filled=_GROWTH * site.shape.flow_runs / site.shape.a_second):
            say("a hundredth more flow runs")
        grown = _dump(site, database, settings)
        drills = [_drilled(settings, say) for _ in range(rounds)]
    return Backups(
        flow_runs=site.shape.flow_runs,
        database_bytes=_size(site),
        first=first,
        grown=grown,
        drills=drills,
    )


def backup_table(measured: Backups | None) -> Table | None:
    """Return the figures as a table; None without any."""
    if measured is None:
        return None
    first, grown, drills = measured.first, measured.grown, measured.drills
    rows = {
        "database, MB": [_mb([measured.database_bytes])],
        "dump before compression, MB": [_mb([each.dumped_bytes for each in first])],
        "first backup: stored, MB": [_mb([each.stored_bytes for each in first])],
        "first backup: s": [_text([each.seconds for each in first], ".1f")],
        "requests meanwhile: median, times before": [_text([each.median for each in first])],
        "requests meanwhile: p99, times before": [_text([each.p99 for each in first])],
        "1 % more: stored, MB": [_mb([grown.stored_bytes])],
        "1 % more: stored, % of the first": [
            f"{100 * grown.stored_bytes / first[-1].stored_bytes:.1f}"
        ],
        "1 % more: s": [f"{grown.seconds:.1f}"],
        "drill: fetch and restore, s": [_text([each.restore_seconds for each in drills], ".1f")],
        "drill: server start, s": [_text([each.server_seconds or 0.0 for each in drills], ".1f")],
        "drill: all (RTO), s": [_text([each.total_seconds for each in drills], ".1f")],
    }
    return filled(new_table("Backup", f"{measured.flow_runs:,} flow runs"), rows)


def _dump(site: Site, database: Database, settings: Settings) -> Dump:
    repository = Repository.of(settings)
    repository.ready()
    before = repository.size_bytes() if repository.everything() else 0
    with _asking(site) as usual:
        time.sleep(_QUIET_SECONDS)
    began = time.monotonic()
    with _asking(site) as meanwhile:
        snapshot = PostgresSource(database, settings.scratch_dir).save(repository)
        seconds = time.monotonic() - began
    return Dump(
        seconds=seconds,
        dumped_bytes=snapshot.size_bytes,
        stored_bytes=repository.size_bytes() - before,
        median=statistics.median(meanwhile) / statistics.median(usual),
        p99=percentile(meanwhile, 99) / percentile(usual, 99),
    )


def _drilled(settings: Settings, say: Say) -> Drilled:
    repository = Repository.of(settings)
    snapshot = repository.find(Kind.DATABASE)
    drilled = drill(settings, repository, snapshot, say=lambda _: None)
    say(f"drill: {drilled}")
    return drilled


def _settings(site: Site) -> Settings:
    folder = site.sandbox.subfolder("backup")
    # The account of PostgreSQL passes on its way to the scratch folder.
    folder.chmod(0o711)
    for name in ("password", "key-password"):
        (folder / name).write_text(f"{name}\n")
    places = {
        "REPOSITORY": "repository",
        "PASSWORD_FILE": "password",
        "KEY_REPOSITORY": "key-repository",
        "KEY_PASSWORD_FILE": "key-password",
        "ENCRYPTION_KEY_FILE": "encryption-key",
        "SCRATCH_DIR": "scratch",
        "STATE_DIR": "state",
    }
    (folder / "scratch").mkdir(mode=0o711)
    return Settings.model_validate(
        {f"PREFECT_BACKUP_{name}": str(folder / place) for name, place in places.items()}
    )


@contextmanager
def _asking(site: Site) -> Iterator[list[float]]:
    """Ask the server for a page of runs over and over; collect how many seconds each took."""
    stop, took = threading.Event(), list[float]()

    def ask() -> None:
        with site.server.client() as client:
            while not stop.wait(_PAUSE_SECONDS):
                began = time.monotonic()
                client.post("/flow_runs/filter", json=_PAGE).raise_for_status()
                took.append(time.monotonic() - began)

    asker = threading.Thread(target=ask, name="asker")
    asker.start()
    try:
        yield took
    finally:
        stop.set()
        asker.join()


@contextmanager
def _restic_found() -> Iterator[None]:
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{_TOOLS}{os.pathsep}{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path


def _size(site: Site) -> int:
    return sum(
        file.stat().st_size
        for file in (site.sandbox.folder / "postgres" / "base").rglob("*")
        if file.is_file()
    )


def _mb(sizes: Sequence[int]) -> str:
    return f"{statistics.median(sizes) / 1e6:,.0f}"


def _text(values: Sequence[float], form: str = ".2f") -> str:
    found: Spread = spread(values)
    return spread_text(found, form)
