"""What each setting of the server's parts is worth: before and after, in turns."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.table import Table

from bench.alternating import Comparison, Figures, compare, comparisons_table
from bench.tuning_load import Mix
from bench.tuning_place import Place, Say, place
from bench.tuning_processes import measure_workers
from bench.tuning_proxy import measure_proxy
from bench.tuning_timeouts import measure_timeouts
from bench.vacuums import Vacuums, measure_vacuums, vacuums_table
from demo.prefect_server import PrefectServer

_RUNS = Mix(runs=12)
_LOOKS = Mix(looks=8)
_BOTH = Mix(runs=8, looks=4)
# Of the container that docker-compose.yml gives PostgreSQL, less what is compared.
_PARAMETERS = {
    "max_connections": "100",
    "autovacuum": "off",
    "wal_level": "replica",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of PostgreSQL, and the load that it is to help.

    Args:
        figures: Which figures matter to it.
        restart: Whether it takes effect by a restart alone.
    """

    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    mix: Mix
    figures: tuple[str, ...]
    restart: bool = False


_READ = ("PostgreSQL CPU, s", "reads p50, ms", "reads p95, ms")
_WRITE = ("PostgreSQL CPU, s", "WAL, MB", "writes p50, ms", "writes p95, ms")

SETTINGS = (
    Setting(
        name="shared_buffers",
        before={"shared_buffers": "128MB"},
        after={"shared_buffers": "256MB"},
        mix=_BOTH,
        figures=_READ,
        restart=True,
    ),
    Setting(
        name="random_page_cost",
        before={"random_page_cost": "4"},
        after={"random_page_cost": "1.1"},
        mix=_LOOKS,
        figures=_READ,
    ),
    Setting(name="jit", before={"jit": "on"}, after={"jit": "off"}, mix=_LOOKS, figures=_READ),
    Setting(
        name="work_mem",
        before={"work_mem": "4MB"},
        after={"work_mem": "16MB"},
        mix=_LOOKS,
        figures=_READ,
    ),
    Setting(
        name="wal_compression",
        before={"wal_compression": "off"},
        after={"wal_compression": "on"},
        mix=_RUNS,
        figures=_WRITE,
    ),
    Setting(
        name="synchronous_commit",
        before={"synchronous_commit": "on"},
        after={"synchronous_commit": "off"},
        mix=_RUNS,
        figures=_WRITE,
    ),
)
"""PostgreSQL's settings, with the default first."""


@dataclass(slots=True)
class Tuning:
    """Every comparison, and how fast rows are deleted.

    Args:
        flow_runs: Of the history; each has 5 task runs, 23 events and 15 log lines.
    """

    flow_runs: int
    settings: list[Comparison] = field(default_factory=list)
    vacuums: Vacuums | None = None


def measure_tuning(tuning: Tuning, rounds: int, say: Say) -> None:
    """Measure each setting on a database with a history of seven days.

    Args:
        tuning: What is measured goes into it, as it comes.
        rounds: Laps of each way, beside one to warm up.
        say: Told what happens.

    Raises:
        NotReadyError: A program did not start.
    """
    with place(tuning.flow_runs, say, **_PARAMETERS) as there:
        with there.server("tuned") as server:
            for setting in SETTINGS:
                say(f"{setting.name}: {rounds} rounds of two ...")
                tuning.settings.append(_compare_postgres(there, server, setting, rounds))
            tuning.settings.append(_compare_checkpoints(there, server, rounds, say))
            if shutil.which("docker"):
                tuning.settings += measure_proxy(there, server, rounds, say)
        tuning.settings.append(_compare_pools(there, rounds, say))
        tuning.settings.append(measure_timeouts(there, min(rounds, 3), say))
        if shutil.which("docker"):
            tuning.settings.append(measure_workers(there, rounds, say))
        tuning.vacuums = measure_vacuums(there, rounds, say)


def tuning_tables(tuning: Tuning | None) -> list[Table | None]:
    """Return the tables, none where nothing was measured."""
    if tuning is None:
        return []
    title = f"{tuning.flow_runs:,} flow runs; median (least to most)"
    return [comparisons_table(title, tuning.settings), vacuums_table(tuning.vacuums)]


def _compare_postgres(
    there: Place, server: PrefectServer, setting: Setting, rounds: int
) -> Comparison:
    def lap(values: Mapping[str, str]) -> Callable[[], Figures]:
        def measured() -> Figures:
            there.set(values, restart=setting.restart)
            figures = there.lap(server, setting.mix)
            return {name: figures[name] for name in setting.figures}

        return measured

    def named(values: Mapping[str, str]) -> str:
        return ", ".join(values.values())

    before, after = setting.before, setting.after
    ways = ((named(before), lap(before)), (named(after), lap(after)))
    compared = compare(setting.name, ways, rounds)
    there.execute(*(f"alter system reset {name}" for name in setting.after))
    return compared


def _compare_checkpoints(there: Place, server: PrefectServer, rounds: int, say: Say) -> Comparison:
    """Compare one checkpoint with three in the same time, as 15 minutes do with 5.

    After a checkpoint the first change of a page writes the whole page to the log.
    """
    say(f"checkpoint_timeout: {rounds} rounds of two ...")

    def laps(number: int) -> Callable[[], Figures]:
        def measured() -> Figures:
            parts = [there.lap(server, Mix(runs=_RUNS.runs // number)) for _ in range(number)]
            names = ("PostgreSQL CPU, s", "WAL, MB")
            return {name: sum(part[name] for part in parts) for name in names}

        return measured

    return compare("checkpoint_timeout", (("5min", laps(3)), ("15min", laps(1))), rounds)


def _compare_pools(there: Place, rounds: int, say: Say) -> Comparison:
    """Compare the usual pool with one that keeps what it has opened, before 40 clients.

    Both may have 15 connections; those beyond the usual pool's 5 are opened anew each time.
    """
    say(f"pool size: {rounds} rounds of two ...")
    kept = {
        "PREFECT_SQLALCHEMY_POOL_SIZE": "15",
        "PREFECT_SQLALCHEMY_MAX_OVERFLOW": "0",
    }
    with there.server("usual-pool") as usual, there.server("kept-pool", **kept) as wide:

        def lap(server: PrefectServer) -> Callable[[], Figures]:
            return lambda: {
                name: value
                for name, value in there.lap(server, _BOTH, concurrent=40).items()
                if name != "WAL, MB"
            }

        ways = (("5 and 10 more", lap(usual)), ("15 and no more", lap(wide)))
        return compare("connections of a server", ways, rounds)
