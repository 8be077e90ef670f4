"""Tables of figures that fit a terminal and a Markdown page alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from bench.machine import Spread


def new_table(title: str, *columns: str) -> Table:
    """Return a table without rows; *title* heads the column of their names."""
    table = Table(title, box=box.MARKDOWN)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def filled(table: Table, rows: Mapping[str, Sequence[str]]) -> Table:
    """Return *table* with rows of these names and cells."""
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def spread_text(values: Spread, form: str = ".2f", scale: float = 1.0) -> str:
    """Return the median and, in brackets, the least and the most."""
    median, low, high = (each * scale for each in (values.median, values.low, values.high))
    return f"{median:{form}} ({low:{form}} to {high:{form}})"


def us(seconds: Spread) -> str:
    """Return seconds as whole microseconds."""
    return spread_text(seconds, ",.0f", 1e6)


def mib(size: int) -> str:
    """Return bytes as whole MiB."""
    return f"{size / 2**20:.0f}"
