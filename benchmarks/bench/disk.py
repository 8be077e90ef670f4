"""What a million flow runs take on disk in PostgreSQL, table by table, from copies of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from bench.multiplied import Size, sizes
from bench.tables import new_table
from bench.tuning_place import Say, place

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Disk:
    """The sizes of tables that hold so many flow runs."""

    flow_runs: int
    tables: Mapping[str, Size]


def measure_disk(flow_runs: int, say: Say) -> Disk:
    """Fill a database with so many flow runs, and look how large its tables are.

    Args:
        flow_runs: Copies of real runs of a worker, each with 5 task runs and 15 log lines.
        say: Told what happens.
    """
    say(f"Disk: {flow_runs:,} flow runs ...")
    with place(flow_runs, say) as there:
        tables = sizes(there.url)
        return Disk(tables["flow_run"].rows, tables)


def disk_table(disk: Disk | None) -> Table | None:
    """Return the table; None where nothing was measured."""
    if disk is None:
        return None
    table = new_table(
        f"of {disk.flow_runs:,}", "rows a flow run", "rows, GB", "indexes, GB", "together, GB"
    )
    for name, size in disk.tables.items():
        heap, indexes = (_of_a_million(disk, each) for each in (size.heap, size.indexes))
        rows = f"{size.rows / disk.flow_runs:.1f}"
        table.add_row(name, rows, f"{heap:.1f}", f"{indexes:.1f}", f"{heap + indexes:.1f}")
    heap, indexes = (
        _of_a_million(disk, sum(getattr(size, part) for size in disk.tables.values()))
        for part in ("heap", "indexes")
    )
    table.add_row("all", "", f"{heap:.1f}", f"{indexes:.1f}", f"{heap + indexes:.1f}")
    return table


def _of_a_million(disk: Disk, size: int) -> float:
    return size / disk.flow_runs * _MILLION / 1e9
