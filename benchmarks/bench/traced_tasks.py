"""A process of `bench.tracing`: trivial tasks of one flow, and what they took."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from opentelemetry import trace

from bench.machine import peak_memory_bytes

WARM_UP = 100
"""Tasks before the measured ones: imports and caches of the first are nobody's cost a task."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the measured tasks took, all of them together.

    Args:
        thread_cpu: Seconds of the flow's own thread, in which the tasks ran.
        process_cpu: Seconds of all threads, until the spans had been sent.
        wall: Seconds until the last task had ended.
        peak_memory: Bytes that the process had resident at most, by then.
    """

    thread_cpu: float
    process_cpu: float
    wall: float
    peak_memory: int


def measure(number: int) -> Loop:
    """Run a flow of so many tasks, one after another."""
    from prefect import flow, task  # noqa: PLC0415 - a second, which `bench` itself need not spend

    @task
    def nothing() -> None:
        pass

    @flow
    def tasks() -> Loop:
        for _ in range(WARM_UP):
            nothing()
        _send_spans()
        gc.collect()
        thread, process, wall = time.thread_time(), time.process_time(), time.perf_counter()
        for _ in range(number):
            nothing()
        thread, wall = time.thread_time() - thread, time.perf_counter() - wall
        _send_spans()
        process = time.process_time() - process
        # Not `ru_maxrss`, which begins with what the parent process had.
        return Loop(thread, process, wall, peak_memory_bytes(os.getpid()))

    return tasks()


def _send_spans() -> None:
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush()


def _off() -> None:
    """Leave Prefect as it is: its telemetry makes spans of nothing."""


def _native() -> None:
    """Give Prefect's own telemetry what its documentation asks for."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - this mode
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - this mode
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - this mode

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _ours() -> None:
    from prefect_instrumentation import setup  # noqa: PLC0415 - this mode alone

    setup()


MODES: dict[str, Callable[[], None]] = {"off": _off, "native": _native, "ours": _ours}


def main() -> None:
    """Trace as the first argument says, run as many tasks as the second, and print the `Loop`."""
    mode, number = sys.argv[1:]
    MODES[mode]()
    print(msgspec.json.encode(measure(int(number))).decode())


if __name__ == "__main__":
    main()
