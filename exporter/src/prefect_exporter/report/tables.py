"""Tables that stay readable: their first rows, and how many there are beyond."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_exporter.report.model import Column, Row, Table

MOST_ROWS = 100


def table(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    note: str = "",
    most: int = MOST_ROWS,
) -> Table:
    """Return the first of *rows*, the most important of which come first; the note tells the rest.

    The table's id is its title in lower case with dashes.
    """
    notes = [note] if note else []
    if len(rows) > most:
        notes.append(f"The first {most} of {len(rows):,}.")
    key = title.lower().replace(",", "").replace(" ", "-")
    return Table(key, title, tuple(columns), tuple(rows[:most]), " ".join(notes))
