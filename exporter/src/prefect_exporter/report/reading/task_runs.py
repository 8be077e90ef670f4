"""Task runs of the period: all of them, or those of flow runs that are drawn by their ids.

Whole flow runs are drawn, every one with the same chance: so shares of tasks within a flow, and of
systems over all flows, are those of the whole. The draw depends on nothing but the ids, so a report
that was stopped draws the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from msgspec.json import Decoder

from prefect_exporter.api import Page
from prefect_exporter.exchanges import Call
from prefect_exporter.labels import task_name
from prefect_exporter.moments import micros_if, moment
from prefect_exporter.report.reading import amounts, texts
from prefect_exporter.report.reading.narrowing import Cut, cuts, narrowed
from prefect_exporter.report.reading.newest_first import NewestFirst, Stretch, stretches
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.rows import TaskRunRow
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import ToldTaskRun
from prefect_exporter.report.words import share

WHAT = "task runs"
ROUTE = "task_runs/filter"
STRETCH_ROWS = 2_000
MOST_STRETCHES = 64
BATCH_ROWS = 1_000
"""About so many task runs belong to the flow runs that are asked about at once."""
MOST_IDS = 200
DEVIATIONS = 3.0
"""So many standard deviations the draw stays below the limit, so as not to be cut short."""

TASK_RUNS = Decoder(list[ToldTaskRun])
_COUNT: Decoder[int] = Decoder(Annotated[int, Meta(ge=0)])
_IN_PERIOD = "ended_us >= ? AND ended_us < ? AND started_us IS NOT NULL"
_COUNT_FLOW_RUNS = f"SELECT count(*) FROM flow_runs WHERE {_IN_PERIOD}"  # noqa: S608 - constants
_DRAWN = "task_runs of "
_COUNT_DRAWN = "SELECT coalesce(sum(rows), 0) FROM steps WHERE step LIKE ?"
_SELECT_IDS = f"SELECT id FROM flow_runs WHERE {_IN_PERIOD} ORDER BY id"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Draw:
    """Which flow runs' task runs are read.

    Args:
        share: Of the flow runs, from 0 to 1.
        total: How many task runs there are.
        a_run: How many of them a flow run has on average.
    """

    share: float
    total: int
    a_run: float

    def takes(self, run_id: bytes) -> bool:
        """Return whether a flow run is drawn."""
        digest = hashlib.blake2b(run_id, digest_size=4).digest()
        return int.from_bytes(digest) < self.share * 2**32


def counts(source: Source) -> Iterator[Piece]:
    """Yield what asks how many there are."""
    for number, cut in enumerate(cuts(source.question, source.store)):
        yield Piece(f"count task_runs {number}", WHAT, partial(_count, source, cut))


def task_runs(source: Source) -> Iterator[Piece]:
    """Yield the task runs, by stretches of time where they are read whole, else by flow runs."""
    draw = _draw(source)
    if draw.share >= 1:
        yield from _whole(source)
    else:
        yield from _drawn(source, draw)


async def _count(source: Source, cut: Cut, _step: Step) -> Portion:
    period = source.question.period
    bounds = {"after_": moment(period.since_us), "before_": moment(period.until_us - 1)}
    body = narrowed(cut, "task_runs", {"end_time": bounds})
    total = await source.client.pages.ask(Call("task_runs/count", _COUNT, body))
    return Portion(Step(total=total, done=True))


def _draw(source: Source) -> Draw:
    period, most = source.question.period, source.limits.task_runs
    number = len(cuts(source.question, source.store))
    total = sum(source.store.step(f"count task_runs {each}").total for each in range(number))
    values = (period.since_us, period.until_us)
    (runs,) = source.store.database.execute(_COUNT_FLOW_RUNS, values).fetchone()
    if total <= most:
        return Draw(1.0, total, 0.0)
    a_run = total / max(runs, 1)
    wanted = max(0.0, most - DEVIATIONS * math.sqrt(most * max(a_run, 1.0)))
    # Where few runs have tasks at all, asking about most of them would take longest of all.
    return Draw(wanted / max(total, runs), total, a_run)


def _whole(source: Source) -> Iterator[Piece]:
    period = source.question.period
    for number, cut in enumerate(cuts(source.question, source.store)):
        total = source.store.step(f"count task_runs {number}").total
        parts = max(1, min(MOST_STRETCHES, total // STRETCH_ROWS))
        for each in stretches(period.since_us, period.until_us, parts) if total else ():
            read = partial(_stretch, _newest_first(source, cut, each))
            yield Piece(f"task_runs {number} {each.until_us}", WHAT, read)


def _newest_first(source: Source, cut: Cut, stretch: Stretch) -> NewestFirst[ToldTaskRun]:
    async def ask(bounds: dict[str, object], sort: str, offset: int) -> Page[ToldTaskRun]:
        body = narrowed(cut, "task_runs", {"end_time": bounds})
        body |= {"sort": sort, "offset": offset}
        return await source.client.pages.page(ROUTE, TASK_RUNS, body)

    return NewestFirst(ROUTE, stretch, ask, lambda row: row.end_time)


async def _stretch(reading: NewestFirst[ToldTaskRun], step: Step) -> Portion:
    page, after = await reading.next(step)
    return Portion(after, [row for row in map(task_run_row, page.rows) if row])


def _drawn(source: Source, draw: Draw) -> Iterator[Piece]:
    period = source.question.period
    rows = source.store.database.execute(_SELECT_IDS, (period.since_us, period.until_us))
    drawn = [run_id for (run_id,) in rows if draw.takes(run_id)]
    size = max(1, min(MOST_IDS, int(BATCH_ROWS / max(draw.a_run, 1))))
    batches = [drawn[start : start + size] for start in range(0, len(drawn), size)]
    for number, batch in enumerate(batches):
        yield Piece(f"{_DRAWN}{number}", WHAT, partial(_batch, source, batch))


async def _batch(source: Source, batch: list[bytes], step: Step) -> Portion:
    (read,) = source.store.database.execute(_COUNT_DRAWN, (f"{_DRAWN}%",)).fetchone()
    left = source.limits.task_runs - read
    if left <= 0:
        return Portion(replace(step, done=True))
    ids = [UUID(bytes=each) for each in batch]
    body = {"task_runs": {"flow_run_id": {"any_": ids}}, "sort": "ID_DESC", "offset": step.rows}
    page = await source.client.pages.page(ROUTE, TASK_RUNS, body)
    after = replace(step, rows=step.rows + len(page.rows), done=not page.full)
    return Portion(after, [row for row in map(task_run_row, page.rows[:left]) if row])


def task_run_row(told: ToldTaskRun) -> TaskRunRow | None:
    """Return what is kept of a task run; None for one that belongs to no flow run."""
    if told.flow_run_id is None:
        return None
    state = told.state
    child = state.state_details.child_flow_run_id if state else None
    speaks = told.state_type != "COMPLETED"
    return TaskRunRow(
        id=told.id.bytes,
        flow_run_id=told.flow_run_id.bytes,
        task=texts.name(task_name(told.task_key)),
        name=texts.name(told.name),
        state_type=told.state_type or "",
        state_name=texts.name(told.state_name),
        state_message=texts.message(state.message) if state and speaks else "",
        started_us=micros_if(told.start_time),
        ended_us=micros_if(told.end_time),
        # By the clock of the task's machine, which may have been set back meanwhile.
        seconds=amounts.seconds(told.total_run_time),
        attempts=told.run_count,
        retries=amounts.retries(told.empirical_policy.retries),
        child_flow_run_id=child.bytes if child else b"",
        cache_key=told.cache_key is not None,
        tags=texts.tags(told.tags),
    )


def sampled(source: Source) -> str:
    """Return how many task runs were read of how many, for a reader; "" where it was all."""
    draw = _draw(source)
    if draw.share >= 1:
        return ""
    (read,) = source.store.database.execute("SELECT count(*) FROM task_runs").fetchone()
    return (
        f"{read:,} of {draw.total:,} task runs were read: those of {share(draw.share)} of the flow"
        " runs, each with the same chance."
    )
