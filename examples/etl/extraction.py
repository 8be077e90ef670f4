"""The rows of one chunk from Redis to the spool, page by page; what Redis has lost is noticed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from etl.errors import SourceLostRows
from etl.lake import Lake
from etl.model import Chunk, Extracted
from etl.source import Source
from etl.spool import Facts, facts, number, publish_pages, write_rows


def extract(source: Source, lake: Lake, chunk: Chunk, *, began: datetime) -> Extracted:
    """Read a chunk's rows; what another worker has read of it is taken as it is.

    Where rows are missing, those that are left are kept, and the run fails: somebody may put the
    rows back. A run that began later reads again, and goes on without what is still missing.

    Args:
        source: Where the rows are.
        lake: Where they go.
        chunk: Which ones.
        began: When this flow run began; the same however often its tasks are tried.

    Raises:
        SourceUnavailable: Redis did not answer.
        SourceLostRows: Redis has fewer rows than were planned, and this run is the first to see.
        DestinationFull: There is no space.
    """
    before = _copies(lake, chunk)
    if before and _rows(before[-1]) >= chunk.rows:
        return _extracted(chunk, before[-1])
    best = max([*before, _read(source, lake, chunk, began)], key=_rows)
    lost = chunk.rows - _rows(best)
    if lost > 0 and not any(_noticed(copy) < began for copy in before):
        raise SourceLostRows(source.client, {chunk.name: lost})
    return _extracted(chunk, best)


def _read(source: Source, lake: Lake, chunk: Chunk, began: datetime) -> Path:
    def fill(folder: Path) -> tuple[str, Facts]:
        rows, size = write_rows(folder, source.pages(chunk))
        told: Facts = {"rows": rows, "bytes": size, "began": began.isoformat()}
        return f"{chunk.name}.{rows}", told

    return publish_pages(lake, fill)


def _copies(lake: Lake, chunk: Chunk) -> list[Path]:
    """Return what was read of the chunk so far, the one with most rows last."""
    folders = lake.spool.glob(f"{chunk.name}.*")
    return sorted((each for each in folders if each.suffix[1:].isdigit()), key=_rows)


def _rows(copy: Path) -> int:
    return int(copy.suffix[1:])


def _noticed(copy: Path) -> datetime:
    return datetime.fromisoformat(str(facts(copy)["began"]))


def _extracted(chunk: Chunk, copy: Path) -> Extracted:
    rows, size = _rows(copy), number(copy, "bytes")
    return Extracted(chunk.name, copy, rows, size, lost=max(0, chunk.rows - rows))
