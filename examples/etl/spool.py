"""Rows on their way from step to step: folders of Parquet pages that appear whole or not at all.

A step's result has a name of its own, so a step that is tried again finds what it has done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import polars as pl

from etl.lake import Lake
from etl.rules import RAW
from etl.source import Row
from etl.writing import publish_folder, scratch

_FACTS = "facts.json"
Facts = Mapping[str, int | str]


def publish_pages(lake: Lake, fill: Callable[[Path], tuple[str, Facts]]) -> Path:
    """Let *fill* put pages in a new folder, and return where that is in the spool from then on.

    Args:
        lake: Whose spool it is.
        fill: Returns the name of the folder, and what `facts` will say of it. Where there is a
            folder of that name, that one stays as it is.

    Raises:
        DestinationFull: There is no space; nothing is left behind.
    """
    with scratch(lake) as folder:
        pages = folder / "pages"
        pages.mkdir()
        name, told = fill(pages)
        (pages / _FACTS).write_text(json.dumps(dict(told)), encoding="utf-8")
        publish_folder(pages, lake.spool / name)
    return lake.spool / name


def facts(folder: Path) -> dict[str, int | str]:
    """Return what was noted of the folder when it was filled."""
    told: dict[str, int | str] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return told


def number(folder: Path, fact: str) -> int:
    """Return one of these facts that is a number."""
    return int(facts(folder)[fact])


def write_rows(folder: Path, pages: Iterable[Iterable[Row]]) -> tuple[int, int]:
    """Write raw rows, one file a page and one at least; return how many, and their bytes."""
    rows = size = 0
    for at, page in enumerate(pages, start=1):
        frame = _frame(page)
        frame.write_parquet(folder / f"page-{at:06}.parquet", compression="lz4")
        rows, size = rows + frame.height, size + int(frame["size"].sum())
    if not rows:
        _frame(()).write_parquet(folder / "page-000000.parquet")
    return rows, size


def _frame(page: Iterable[Row]) -> pl.DataFrame:
    rows = [(str(row.row_id), row.size, row.raw) for row in page]
    return pl.DataFrame(rows, schema=RAW, orient="row")
