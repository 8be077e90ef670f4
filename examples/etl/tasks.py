"""The steps of a batch as Prefect tasks; paths go between them, never rows.

`work_chunk` is mapped over the chunks of a plan. It runs the four steps of its chunk one after the
other, each a task run of its own, with its own retries and span.

No task has a timeout of Prefect's: in a pool's thread it could not interrupt a call that hangs, and
in the flow's own thread it would suspend the flow's timeout meanwhile. Each call that goes out has
its own, by its client, and the flow has one for all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import stamina
from prefect import Task, get_run_logger, task
from prefect.cache_policies import INPUTS, NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.tasks import exponential_backoff

from etl import dead_letters, extraction, planning, validation, writing
from etl.errors import SourceUnavailable
from etl.leases import Lease
from etl.memory import chunk_limits, peak_rss
from etl.meters import RECOVERIES, ROWS, count_failure, count_success, count_takeover
from etl.model import Chunk, Extracted, Plan, RowId, Validated, Written
from etl.rates import RatesUnavailable, make_breaker, open_http, rates_of
from etl.settings import load_settings
from etl.workplace import Workplace, open_redis, open_workplace
from prefect_instrumentation import annotate, error_context, record_io, traced

# What decorators take is fixed when this module is imported.
_SETTINGS = load_settings()
RETRIES = 5
BACKOFF = exponential_backoff(_SETTINGS.retry_seconds)
JITTER = 0.5

SOURCE = "redis://orders"
SPOOL = "file://lake/orders/spool"
LAKE = "file://lake/orders"
PLANS = "file://lake/orders/plans"
LETTERS = "redis://orders/dead"

_MIB = 1024 * 1024
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all chunks of a plan.

    Args:
        made: When the plan was made.
        began: When this run of the batch began.
        rates: How many euros one unit of each currency is worth.
    """

    client: str
    made: datetime
    began: datetime
    rates: dict[str, float]


def may_heal(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Tell whether trying again may help; a wrong row or setting stays wrong."""
    try:
        state.result()
    except (SourceUnavailable, RatesUnavailable, TimeoutError):
        return True
    except Exception:  # noqa: BLE001 - whatever else it is
        return False
    return False


HEALING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": BACKOFF,
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": may_heal,
    "on_failure": [count_failure],
}
"""What is the same for each task that asks Redis, the rates' service or the disk."""


def _tell(records: int, size: int) -> None:
    """Say at a step's end what it moved, and count it where it did not go well at once."""
    record_io(records=records, bytes=size)
    tell_memory()
    count_success()


def tell_memory() -> None:
    """Say on the span how much memory the process has had, and how much rows may take of it."""
    annotate(memory_peak_bytes=peak_rss(), rows_budget_bytes=load_settings().memory_mib * _MIB)


@traced(source=LETTERS, destination=LAKE)
@task(cache_policy=NO_CACHE, **HEALING)
def settle(client: str) -> int:
    """Write the dead letters that a killed worker had no time for; return how many."""
    place = open_workplace(client)
    letters = dead_letters.settle_all(place.redis, place.lake)
    if letters:
        RECOVERIES.add(step="letters", outcome="recovered")
        get_run_logger().info("letters.settled", extra={"client": client, "letters": letters})
    _tell(letters, 0)
    return letters


@traced(source=SOURCE)
@task(cache_policy=NO_CACHE, **HEALING)
def newest(client: str) -> RowId | None:
    """Return the newest row that there is now, which is the last that this run will load."""
    row_id = open_workplace(client).source.newest()
    _tell(0, 0)
    return row_id


@traced(source=SOURCE, destination=PLANS)
@task(cache_policy=NO_CACHE, **HEALING)
def plan(client: str, now: datetime, upto: RowId, max_rows: int | None) -> Plan | None:
    """Return the plan that is not finished, else a new one, else None: there is nothing to do."""
    place = open_workplace(client)
    limits = chunk_limits(place.settings.memory_mib, place.settings.parallel)
    made = planning.ensure_plan(
        place.source, place.lake, limits, now=now, max_rows=max_rows, upto=upto
    )
    chunks = made.chunks if made else ()
    # No row has moved yet: they are counted by who moves them.
    annotate(rows=sum(chunk.rows for chunk in chunks), bytes=sum(chunk.bytes for chunk in chunks))
    _tell(len(chunks), 0)
    return made


@traced(source="https://rates", destination="prefect://results")
@task(
    # A second run within the hour does not ask the service; the breaker is not even looked at.
    cache_policy=INPUTS,
    cache_expiration=timedelta(hours=1),
    persist_result=True,
    result_serializer="json",
    **HEALING,
)
def rates(day: str, url: str) -> dict[str, float]:
    """Return how many euros one unit of each currency was worth on a day, by the service at url."""
    settings = load_settings()
    breaker = make_breaker(open_redis(settings.redis_url), settings)
    with open_http(url) as http, error_context(day=day):
        found = rates_of(date.fromisoformat(day), http, breaker)
    _tell(len(found), 0)
    return found


@traced(source=SOURCE, destination=SPOOL)
@task(cache_policy=NO_CACHE, **HEALING)
def extract(client: str, chunk: Chunk, began: datetime) -> Extracted:
    """Copy a chunk's rows from the stream to files."""
    place = open_workplace(client)
    # Of all workers of the Prefect server together, where somebody has made that limit.
    with concurrency("etl-redis", occupy=1, strict=False):
        found = extraction.extract(place.source, place.lake, chunk, began=began)
    _tell(found.rows, found.bytes)
    return found


@traced(source=SPOOL, destination=SPOOL)
@task(cache_policy=NO_CACHE)
def validate(client: str, extracted: Extracted, made: datetime) -> Validated:
    """Sort the rows into good ones and rejected ones."""
    found = validation.validate(open_workplace(client).lake, extracted, now=made)
    annotate(rejected=found.rejected)
    _tell(found.accepted + found.rejected, found.bytes)
    return found


@traced(source=SPOOL, destination=SPOOL)
@task(cache_policy=NO_CACHE)
def convert(client: str, validated: Validated, table: dict[str, float]) -> Validated:
    """Put the amount in euros to each row; a currency without a rate makes it a rejected one."""
    found = validation.convert(open_workplace(client).lake, validated, table)
    _tell(found.accepted, found.bytes)
    return found


@traced(source=SPOOL, destination=LAKE)
@task(cache_policy=NO_CACHE, **HEALING)
def load(client: str, validated: Validated) -> Written:
    """Commit a chunk, then write its dead letters; harmless when done twice."""
    place = open_workplace(client)
    written = writing.commit(place.lake, validated)
    if written.new:
        ROWS.add(written.accepted, client=client, outcome="accepted")
        ROWS.add(written.rejected, client=client, outcome="rejected")
    dead_letters.settle(place.redis, place.lake, validated.name)
    _tell(written.accepted, written.bytes)
    return written


@traced(source=SOURCE, destination=LAKE)
@task(task_run_name="chunk-{chunk.name}", cache_policy=NO_CACHE)
def work_chunk(chunk: Chunk, job: Job, *, wait: bool = False) -> Written | None:
    """Take one chunk from the stream to the lake.

    Args:
        chunk: Its rows.
        job: What is the same for all chunks of a plan.
        wait: Whether to wait while another worker has it.

    Returns:
        What was committed; None where another worker has it, or has done it.
    """
    place = open_workplace(job.client)
    with error_context(client=job.client, chunk=chunk.name):
        lease = _wait_for(place, chunk) if wait else _take(place, chunk)
        if lease is None:
            return None
        with lease:
            try:
                written = _load(chunk, job)
            except Exception:
                count_takeover(lease.attempt, "failed")
                raise
            if written:  # else the one before had done it, and there was nothing to take over
                count_takeover(lease.attempt, "recovered")
            return written


def _take(place: Workplace, chunk: Chunk) -> Lease | None:
    """Ask for the lease as patiently as steps do; Prefect tries only task runs again."""
    pause = _SETTINGS.retry_seconds
    for attempt in stamina.retry_context(
        on=SourceUnavailable, attempts=RETRIES + 1, timeout=None, wait_initial=pause, wait_max=60
    ):
        with attempt:
            return place.leases.take(chunk)
    raise AssertionError("stamina raises the last error")


def _wait_for(place: Workplace, chunk: Chunk) -> Lease | None:
    """Return the chunk's lease once it is to be had; None once there is no more to do."""
    while not place.lake.part(chunk.name).exists():
        if lease := _take(place, chunk):
            return lease
        time.sleep(_LOOK_SECONDS)
    return None


def _load(chunk: Chunk, job: Job) -> Written | None:
    """Do the four steps; return None where another worker has done them."""
    part = open_workplace(job.client).lake.part(chunk.name)
    if part.exists():
        return None
    try:
        extracted = extract(job.client, chunk, job.began)
        validated = validate(job.client, extracted, job.made)
        converted = convert(job.client, validated, job.rates)
    except Exception:
        # This process stood still, its lease ran out, and who took over has cleared up.
        if part.exists():
            return None
        raise
    written = load(job.client, converted)
    told = {"client": job.client, "chunk": chunk.name, "accepted": written.accepted}
    get_run_logger().info(
        "chunk.committed", extra=told | {"rejected": written.rejected, "bytes": written.bytes}
    )
    return written
