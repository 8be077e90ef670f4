"""From pages of raw rows to pages of good and of rejected ones, one page in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from etl import rules
from etl.lake import Lake
from etl.model import Extracted, Validated
from etl.spool import Facts, number, publish_pages


def validate(lake: Lake, extracted: Extracted, *, now: datetime) -> Validated:
    """Sort rows into good and rejected ones, as `rules.judge` has them.

    Args:
        lake: Whose rows they are.
        extracted: Where they are.
        now: What "in the future" means: when the plan was made, so that it stays the same.

    Raises:
        DestinationFull: There is no space.
    """
    pages = sorted(extracted.folder.glob("page-*.parquet"))
    judged = (rules.judge(pl.read_parquet(page), now) for page in pages)
    # Of this copy of the rows: what was made of one that lacked some is not what this one has.
    folder = lake.spool / f"{extracted.folder.name}.valid"
    _once(lake, folder, lambda new: _sort(new, judged))
    return _validated(extracted.name, folder, extracted.bytes, extracted.lost)


def convert(lake: Lake, validated: Validated, rates: Mapping[str, float]) -> Validated:
    """Add `amount_eur` to good rows; those in a currency without a rate are rejected too.

    Args:
        lake: Whose rows they are.
        validated: Where they are.
        rates: What one unit of a currency is in euros.

    Raises:
        DestinationFull: There is no space.
    """

    def fill(new: Path) -> Facts:
        for page in validated.folder.glob("rejected-*.parquet"):
            os.link(page, new / page.name.replace("rejected-", "rejected-before-"))
        pages = sorted(validated.folder.glob("accepted-*.parquet"))
        told = _sort(new, (rules.convert(pl.read_parquet(page), rates) for page in pages))
        return {**told, "rejected": int(told["rejected"]) + validated.rejected}

    folder = lake.spool / validated.folder.with_suffix(".converted").name
    _once(lake, folder, fill)
    return _validated(validated.name, folder, validated.bytes, validated.lost)


def _once(lake: Lake, folder: Path, fill: Callable[[Path], Facts]) -> None:
    if not folder.exists():
        publish_pages(lake, lambda new: (folder.name, fill(new)))


def _sort(folder: Path, pages: Iterator[pl.DataFrame]) -> Facts:
    accepted = rejected = 0
    for at, rows in enumerate(pages, start=1):
        good = rows.filter(pl.col("reason").is_null())
        bad = rows.filter(pl.col("reason").is_not_null()).select(rules.REJECTED)
        good.write_parquet(folder / f"accepted-{at:06}.parquet", compression="lz4")
        if not bad.is_empty():
            bad.write_parquet(folder / f"rejected-{at:06}.parquet", compression="lz4")
        accepted, rejected = accepted + good.height, rejected + bad.height
    return {"accepted": accepted, "rejected": rejected}


def _validated(name: str, folder: Path, size: int, lost: int) -> Validated:
    accepted, rejected = number(folder, "accepted"), number(folder, "rejected")
    return Validated(name, folder, accepted, rejected, size, lost)
