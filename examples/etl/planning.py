"""Which ranges of the stream make up a batch, written down once so that all workers agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from etl.errors import PlanDamaged, SourceWentBack
from etl.lake import Lake
from etl.model import BEGINNING, BatchSummary, Chunk, ChunkLimits, Plan, RowId
from etl.source import PAGE, Source
from etl.writing import committed, publish, scratch


def ensure_plan(  # noqa: PLR0913 - three places, and what limits a plan
    source: Source,
    lake: Lake,
    limits: ChunkLimits,
    *,
    now: datetime,
    max_rows: int | None = None,
    upto: RowId | None = None,
) -> Plan | None:
    """Return the plan that is not finished, else a new one, else None: there is nothing new.

    Two workers that ask at the same time are given the same plan. Only rows up to *upto* are
    planned, so that who asks again and again comes to an end while rows are still added.

    Raises:
        SourceUnavailable: Redis did not answer.
        SourceWentBack: There are rows below the cursor that were never read.
        PlanDamaged: The last plan cannot be read.
    """
    latest = latest_plan(lake)
    if latest is not None and remaining(lake, latest):
        return latest
    after = latest.end if latest else BEGINNING
    added = _check_stream(source, lake, latest)
    chunks = tuple(_split(source, after, upto, limits, max_rows))
    if not chunks:
        return None
    plan = Plan(latest.number + 1 if latest else 1, lake.client, after, now, added, chunks)
    return _write(lake, plan)


def latest_plan(lake: Lake) -> Plan | None:
    """Return the plan with the highest number, or None before the first."""
    paths = sorted(lake.plans.glob("*.json"))
    return read_plan(paths[-1]) if paths else None


def remaining(lake: Lake, plan: Plan) -> tuple[Chunk, ...]:
    """Return the chunks that nobody has committed yet."""
    return tuple(chunk for chunk in plan.chunks if not lake.part(chunk.name).exists())


def summary(lake: Lake, plan: Plan) -> BatchSummary:
    """Return what became of the plan's rows so far, from what is committed."""
    found = [written for chunk in plan.chunks if (written := committed(lake, chunk.name))]
    return BatchSummary(
        client=plan.client,
        plan=plan.number,
        chunks=len(plan.chunks),
        rows=plan.rows,
        accepted=sum(written.accepted for written in found),
        rejected=sum(written.rejected for written in found),
        lost=sum(written.lost for written in found),
        bytes=sum(written.bytes for written in found),
    )


def losses(lake: Lake, plan: Plan) -> dict[str, int]:
    """Return how many rows committed chunks had to do without, by the chunk's name."""
    found = ((chunk.name, committed(lake, chunk.name)) for chunk in plan.chunks)
    return {name: written.lost for name, written in found if written and written.lost}


def read_plan(path: Path) -> Plan:
    """Return the plan in that file; raise `PlanDamaged` where it is none."""
    try:
        told = json.loads(path.read_bytes())
        return Plan(
            number=told["number"],
            client=told["client"],
            after=RowId.parse(told["after"]),
            made=datetime.fromisoformat(told["made"]),
            added=told["added"],
            chunks=tuple(
                Chunk(RowId.parse(first), RowId.parse(last), rows, size)
                for first, last, rows, size in told["chunks"]
            ),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise PlanDamaged(path, f"{type(error).__name__}: {error}"[:200]) from None


def _split(
    source: Source, after: RowId, upto: RowId | None, limits: ChunkLimits, max_rows: int | None
) -> Iterator[Chunk]:
    """Yield chunks within *limits*, of *max_rows* rows together."""
    left = max_rows
    while left is None or left > 0:
        rows = limits.rows if left is None else min(limits.rows, left)
        chunk = _next_chunk(source, after, upto, ChunkLimits(rows, limits.bytes))
        if chunk is None:
            return
        yield chunk
        after, left = chunk.last, None if left is None else left - chunk.rows


def _next_chunk(
    source: Source, after: RowId, upto: RowId | None, limits: ChunkLimits
) -> Chunk | None:
    """Grow a chunk page by page until it is full, or nothing is left."""
    chunk: Chunk | None = None
    while chunk is None or (chunk.rows < limits.rows and chunk.bytes < limits.bytes):
        rows, size = (chunk.rows, chunk.bytes) if chunk else (0, 0)
        page = ChunkLimits(min(PAGE.rows, limits.rows - rows), min(PAGE.bytes, limits.bytes - size))
        more = source.measure(chunk.last if chunk else after, upto, page)
        if more is None or (chunk and size + more.bytes > limits.bytes):
            return chunk
        first = chunk.first if chunk else more.first
        chunk = Chunk(first, more.last, rows + more.rows, size + more.bytes)
    return chunk


def _check_stream(source: Source, lake: Lake, latest: Plan | None) -> int:
    """Return how many rows the stream was ever given; raise where it hides rows from us."""
    added = source.about().added
    if latest is None or added >= latest.added:
        return added
    unread = _unread(source, lake, latest.end)
    if unread:
        raise SourceWentBack(
            lake.client, str(latest.end), len(unread), str(unread[0]), str(unread[-1])
        )
    return added


def _unread(source: Source, lake: Lake, cursor: RowId) -> list[RowId]:
    """Return what the stream has up to the cursor and no file has."""
    ids = [row_id for page in source.ids(cursor) for row_id in page]
    files = [*lake.parts(), *lake.rejected.glob("*part-*")]
    known = pl.concat([pl.scan_parquet(file).select("row_id") for file in files])
    found = (
        pl.LazyFrame({"row_id": ids}, schema={"row_id": pl.String()})
        .join(known, on="row_id", how="anti")
        .collect()
    )
    return sorted(RowId.parse(row_id) for row_id in found["row_id"])


def _write(lake: Lake, plan: Plan) -> Plan:
    """Write the plan, unless another worker was first; return the one that counts."""
    final = lake.plans / f"{plan.number:06}.json"
    told = {
        "number": plan.number,
        "client": plan.client,
        "after": str(plan.after),
        "made": plan.made.isoformat(),
        "added": plan.added,
        "chunks": [[str(c.first), str(c.last), c.rows, c.bytes] for c in plan.chunks],
    }
    with scratch(lake) as folder:
        file = folder / final.name
        file.write_text(json.dumps(told), encoding="utf-8")
        publish(file, final)
    return read_plan(final)
