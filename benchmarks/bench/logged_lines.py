"""A process of `bench.log_records`: lines of one task run, and what they took."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from bench.machine import peak_memory_bytes

WARM_UP = 500
"""Lines before the measured ones: imports and caches of the first are nobody's cost a line."""

AMOUNT = 12.5

Line = Callable[[int], None]
"""Writes one line, with its number."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What the measured lines took, all of them together.

    Args:
        thread_cpu: Seconds of the thread that wrote them.
        process_cpu: Seconds of all threads, until files, queues and exporters had been emptied.
        peak_memory: Bytes that the process had resident at most, by then.
    """

    thread_cpu: float
    process_cpu: float
    peak_memory: int


def measure(number: int, way: Callable[[], Line]) -> Lines:
    """Run a flow with a task that writes so many lines, one after another."""
    from prefect import flow, task  # noqa: PLC0415 - a second, which `bench` itself need not spend

    @task
    def lines() -> Lines:
        write = way()
        with _unseen():
            return _timed(write, number)

    @flow
    def writing() -> Lines:
        return lines()

    return writing()


def _timed(write: Line, number: int) -> Lines:
    for each in range(WARM_UP):
        write(each)
    _flush()
    gc.collect()
    thread, process = time.thread_time(), time.process_time()
    for each in range(number):
        write(each)
    thread = time.thread_time() - thread
    _flush()
    process = time.process_time() - process
    return Lines(thread, process, peak_memory_bytes(os.getpid()))


def _flush() -> None:
    logger: logging.Logger | None = logging.getLogger("prefect.task_runs")
    while logger is not None:
        for handler in logger.handlers:
            handler.flush()
        logger = logger.parent


@contextmanager
def _unseen() -> Iterator[None]:
    """Have standard error, where every way writes, go to /dev/null."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def by_run_logger() -> Line:
    """Return what writes by Prefect's logger of the task run; `extra` is for those who read it."""
    from prefect import get_run_logger  # noqa: PLC0415 - as above

    log = get_run_logger()

    def write(number: int) -> None:
        extra = {"order": number, "amount": AMOUNT}
        log.info("order %s priced at %.2f", number, AMOUNT, extra=extra)

    return write


def by_structlog() -> Line:
    """Return what writes by structlog alone, with as many ids bound as our lines have."""
    import structlog  # noqa: PLC0415 - this way alone

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**_ids())
    log = structlog.get_logger()

    def write(number: int) -> None:
        log.info("order priced", order=number, amount=AMOUNT)

    return write


def _ids() -> Mapping[str, str]:
    from prefect.runtime import flow_run, task_run  # noqa: PLC0415 - as above

    return {
        "correlation_id": flow_run.id,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "flow": flow_run.flow_name,
        "flow_run_id": flow_run.id,
        "flow_run_name": flow_run.name,
        "task": task_run.task_name,
        "task_run_id": task_run.id,
    }


def main() -> None:
    """Write as the first argument says, as many lines as the second, and print the `Lines`."""
    way, number = sys.argv[1:]
    if way == "ours":
        from prefect_instrumentation import setup  # noqa: PLC0415 - this way alone

        setup(logs=True)
    found = measure(int(number), by_structlog if way == "structlog" else by_run_logger)
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
