"""Flow runs: those that ended in the period and the one before, and those that have not ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

from msgspec import Meta
from msgspec.json import Decoder

from prefect_exporter.api import Page
from prefect_exporter.exchanges import Call
from prefect_exporter.moments import micros_if, moment
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.reading import amounts, texts
from prefect_exporter.report.reading.narrowing import Cut, cuts, narrowed
from prefect_exporter.report.reading.newest_first import NewestFirst, Stretch, stretches
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import ToldFlowRun

WHAT = "flow runs"
ROUTE = "flow_runs/filter"
STRETCH_ROWS = 2_000
"""About so many runs are in one stretch of time, so that several can be read at once."""
MOST_STRETCHES = 64
MOST_UNENDED = 20_000
"""Of the runs under way, and of the late ones."""

_ROWS = Decoder(list[ToldFlowRun])
_COUNT: Decoder[int] = Decoder(Annotated[int, Meta(ge=0)])
_UNDER_WAY = {"state": {"type": {"any_": ["RUNNING", "PENDING", "PAUSED", "CANCELLING"]}}}


def periods(question: Question) -> tuple[Period, ...]:
    """Return the periods that are read."""
    period = question.period
    return (period, period.before) if question.compare else (period,)


def counts(source: Source) -> Iterator[Piece]:
    """Yield what asks how many runs ended in each period; ``stretches`` are cut by that."""
    for name, cut, period in _parts(source):
        yield Piece(f"count {name}", WHAT, partial(_count, source, cut, period), needed=True)


def ended(source: Source) -> Iterator[Piece]:
    """Yield the stretches of time of each period."""
    for name, cut, period in _parts(source):
        total = source.store.step(f"count {name}").total
        number = max(1, min(MOST_STRETCHES, total // STRETCH_ROWS))
        for each in stretches(period.since_us, period.until_us, number):
            read = partial(_ended, _newest_first(source, cut, each))
            yield Piece(f"{name} {each.until_us}", WHAT, read, needed=True)


def unended(source: Source) -> Iterator[Piece]:
    """Yield the runs under way, and those that are due and wait."""
    due = {"before_": moment(source.question.now_us)}
    # By the time it was due at first: whoever waits for a slot is due again and again.
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": due}
    for number, cut in enumerate(cuts(source.question, source.store)):
        for name, conditions in (("under way", _UNDER_WAY), ("waiting", waiting)):
            query = narrowed(cut, "flow_runs", conditions)
            piece = partial(_unended, source, query, f"{name} flow runs")
            yield Piece(f"flow_runs {number} {name}", WHAT, piece)


def _parts(source: Source) -> Iterator[tuple[str, Cut, Period]]:
    for number, cut in enumerate(cuts(source.question, source.store)):
        for period in periods(source.question):
            yield f"flow_runs {number} {period.since_us}", cut, period


async def _count(source: Source, cut: Cut, period: Period, _step: Step) -> Portion:
    bounds = {"after_": moment(period.since_us), "before_": moment(period.until_us - 1)}
    body = narrowed(cut, "flow_runs", {"end_time": bounds})
    total = await source.client.pages.ask(Call("flow_runs/count", _COUNT, body))
    return Portion(Step(total=total, done=True))


def _newest_first(source: Source, cut: Cut, stretch: Stretch) -> NewestFirst[ToldFlowRun]:
    async def ask(bounds: dict[str, object], sort: str, offset: int) -> Page[ToldFlowRun]:
        body = narrowed(cut, "flow_runs", {"end_time": bounds})
        return await source.client.pages.page(ROUTE, _ROWS, body | {"sort": sort, "offset": offset})

    return NewestFirst(ROUTE, stretch, ask, lambda row: row.end_time)


async def _ended(reading: NewestFirst[ToldFlowRun], step: Step) -> Portion:
    page, after = await reading.next(step)
    return Portion(after, [flow_run_row(each) for each in page.rows])


async def _unended(source: Source, query: Mapping[str, object], what: str, step: Step) -> Portion:
    body = {**query, "sort": "ID_DESC", "offset": step.rows}
    page = await source.client.pages.page(ROUTE, _ROWS, body)
    rows = step.rows + len(page.rows)
    cut = page.full and rows >= MOST_UNENDED
    note = f"Of the {what} {rows:,} were read, not all." if cut else ""
    after = replace(step, rows=rows, done=cut or not page.full)
    return Portion(after, [flow_run_row(each) for each in page.rows], note=note)


def flow_run_row(told: ToldFlowRun) -> FlowRunRow:
    """Return what is kept of a flow run."""
    state, creator = told.state, told.created_by
    speaks = told.state_type != "COMPLETED" and state is not None
    return FlowRunRow(
        id=told.id.bytes,
        name=texts.name(told.name),
        flow_id=told.flow_id.bytes,
        deployment_id=told.deployment_id.bytes if told.deployment_id else b"",
        parent_task_run_id=told.parent_task_run_id.bytes if told.parent_task_run_id else b"",
        state_type=told.state_type or "",
        state_name=texts.name(told.state_name),
        state_message=texts.message(state.message) if state and speaks else "",
        expected_us=micros_if(told.expected_start_time),
        created_us=micros_if(told.created),
        started_us=micros_if(told.start_time),
        ended_us=micros_if(told.end_time),
        seconds=amounts.seconds(told.total_run_time),
        attempts=told.run_count,
        work_pool=told.work_pool_name or "",
        work_queue=told.work_queue_name or "",
        auto_scheduled=told.auto_scheduled,
        creator_type=texts.name(creator.type) if creator else "",
        creator_id=str(creator.id) if creator and creator.id else "",
        parameters_bytes=len(bytes(told.parameters)),
        retries=amounts.retries(told.empirical_policy.retries),
        tags=texts.tags(told.tags),
    )
