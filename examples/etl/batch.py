"""The flow `client-batch`: all new orders of one client, from its stream to the lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_client, get_run_logger, runtime, unmapped
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from etl import planning, tasks
from etl.artifacts import Progress, show_batch, start_progress
from etl.errors import SourceLostRows, TooManyRejected
from etl.model import BatchSummary, Plan
from etl.settings import load_settings
from etl.workplace import Workplace, open_workplace, watch
from prefect_instrumentation import annotate, error_context

# What decorators take is fixed when this module is imported.
_SETTINGS = load_settings()


@flow(
    name="client-batch",
    timeout_seconds=_SETTINGS.timeout_seconds,
    task_runner=ThreadPoolTaskRunner(max_workers=_SETTINGS.parallel),  # type: ignore[arg-type]  # Prefect's own types disagree
)
def client_batch(client: str, max_rows: int | None = None) -> dict[str, Any]:
    """Load what is new of one client.

    Runs of the same client may overlap: they share the chunks, and each row is loaded once.

    Args:
        client: Whose stream `orders:{client}` is read.
        max_rows: How many rows to plan at most; None for all that are there when it begins.

    Returns:
        A `BatchSummary` as a dict: what became of the rows of the plans that it worked on.

    Raises:
        TooManyRejected: More than `ETL_MAX_REJECTED` of them were; the good ones are loaded.
        SourceLostRows: Redis does not have all planned rows any more; the others are loaded.
    """
    began = datetime.now(UTC)
    annotate(client=client)
    with error_context(client=client):
        place = open_workplace(client)
        watch(place)
        tasks.settle(client)
        batch = _work(place, began, max_rows)
        _tell(batch.summary)
        _judge(place, batch)
    return batch.summary.as_dict()


@dataclass(frozen=True, slots=True)
class _Batch:
    """What became of the plans so far.

    Args:
        lost: How many rows which chunk had to do without.
        failed: Chunks that could not be committed.
    """

    summary: BatchSummary
    lost: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[State[Any], ...] = ()

    def plus(self, place: Workplace, plan: Plan, failed: Iterable[State[Any]]) -> _Batch:
        added = planning.summary(place.lake, plan)
        lost = planning.losses(place.lake, plan)
        return _Batch(_sum(self.summary, added), {**self.lost, **lost}, tuple(failed))


def _work(place: Workplace, began: datetime, max_rows: int | None) -> _Batch:
    """Work on one plan after the other until there is nothing left of what there was."""
    client = place.lake.client
    batch = _Batch(BatchSummary(client, *(0 for _ in fields(BatchSummary)[1:])))
    progress = start_progress(client)
    for plan in _plans(place, max_rows):
        batch = batch.plus(place, plan, _work_plan(place, plan, began, progress))
        if batch.failed:
            return batch
    progress.finish()
    return batch


def _plans(place: Workplace, max_rows: int | None) -> Iterator[Plan]:
    client, planned = place.lake.client, 0
    upto = tasks.newest(client)
    while upto and (max_rows is None or planned < max_rows):
        left = None if max_rows is None else max_rows - planned
        plan = tasks.plan(client, datetime.now(UTC), upto, left)
        if plan is None:
            return
        planned += plan.rows
        yield plan


def _work_plan(
    place: Workplace, plan: Plan, began: datetime, progress: Progress
) -> list[State[Any]]:
    """Work on the chunks that nobody else works on, then wait for those that others have.

    A chunk that fails leaves the others alone; returned are the states of those that did.
    """
    client = place.lake.client
    day = plan.made.date().isoformat()
    job = tasks.Job(client, plan.made, began, tasks.rates(day, place.settings.rates_url))
    chunks = planning.remaining(place.lake, plan)
    progress.expect(len(chunks))
    futures = tasks.work_chunk.map(list(chunks), unmapped(job))
    failed: list[State[Any]] = []
    for future in as_completed(list(futures)):
        future.wait()  # else its state is asked of the API, which has no errors
        if future.state.is_completed():
            progress.step()
        else:
            failed.append(future.state)
    return failed or _finish(place, plan, job)


def _finish(place: Workplace, plan: Plan, job: tasks.Job) -> list[State[Any]]:
    """Wait for the chunks of other workers, and take over those whose worker is gone.

    In the flow's own thread, so that a cancellation or a timeout ends the wait at once.
    """
    states = [
        tasks.work_chunk(chunk, job, wait=True, return_state=True)
        for chunk in planning.remaining(place.lake, plan)
    ]
    return [state for state in states if not state.is_completed()]


def _sum(one: BatchSummary, other: BatchSummary) -> BatchSummary:
    names = ("chunks", "rows", "accepted", "rejected", "lost", "bytes")
    added = {name: getattr(one, name) + getattr(other, name) for name in names}
    return replace(one, plan=other.plan, **added)


def _tell(summary: BatchSummary) -> None:
    """Tell a person by an artifact, and whoever started the run by its labels."""
    show_batch(summary)
    told = {f"etl.{name}": value for name, value in summary.as_dict().items()}
    with get_client(sync_client=True) as api:
        api.update_flow_run_labels(runtime.flow_run.id, told)
    annotate(**summary.as_dict())
    get_run_logger().info("batch.loaded", extra=summary.as_dict())


def _judge(place: Workplace, batch: _Batch) -> None:
    """Raise what went wrong, now that everything else is done and told."""
    summary = batch.summary
    if batch.failed:
        told = {"client": summary.client, "chunks": len(batch.failed)}
        get_run_logger().error("chunks.failed", extra=told)
        batch.failed[0].result()
    if batch.lost:
        raise SourceLostRows(summary.client, batch.lost, given_up=True)
    limit = place.settings.max_rejected
    if summary.rejected_share > limit:
        read = summary.accepted + summary.rejected
        raise TooManyRejected(summary.client, summary.rejected, read, limit)
