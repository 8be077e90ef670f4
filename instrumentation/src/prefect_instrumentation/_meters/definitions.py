"""Every metric of ours, once and whole: docs/meters.md is held against this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RUN = ("flow", "task", "deployment")
IO = (*RUN, "source", "destination")

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10, 30, 60, 300, 900, 3600)
"""Upper bounds of buckets, in seconds: from a call to a nightly load."""

SIZES = tuple(float(2**power) for power in range(26, 39))
"""Upper bounds of buckets, in bytes: 64 MiB to 256 GiB, each the double of the one before."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as Prometheus will have it; the suffixes of its name are part of it.

    Args:
        name: in full, so that a search for it finds it.
        kind: as Prometheus calls it.
        unit: as UCUM has it: https://ucum.org/ucum; a suffix that the name has is not added twice.
        description: one sentence.
        labels: of each point; a user's own metric names them where it is recorded.
        buckets: upper bounds of a histogram's buckets.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


PROCESS_CPU = Definition(
    "prefect_sdk_process_cpu_seconds_total",
    "counter",
    "s",
    "CPU time of the process during a run that no other run of it encloses.",
    RUN,
)
TASK_CPU = Definition(
    "prefect_sdk_task_run_cpu_seconds_total",
    "counter",
    "s",
    "CPU time of the thread that runs a synchronous task.",
    RUN,
)
PEAK_MEMORY = Definition(
    "prefect_sdk_process_peak_memory_bytes",
    "histogram",
    "By",
    "Most resident memory that the process had by the end of a run that no other encloses.",
    RUN,
    SIZES,
)
ATTEMPTS = Definition(
    "prefect_sdk_attempts_total",
    "counter",
    "{attempt}",
    "Times that a run has entered a state of type RUNNING.",
    RUN,
)
IO_RECORDS = Definition(
    "prefect_sdk_io_records_total",
    "counter",
    "{record}",
    "Records that record_io() was told of.",
    IO,
)
IO_BYTES = Definition(
    "prefect_sdk_io_bytes_total", "counter", "By", "Bytes that record_io() was told of.", IO
)
ERRORS = Definition(
    "prefect_sdk_errors_total",
    "counter",
    "{error}",
    "Attempts that raised, and runs that failed without raising.",
    (*RUN, "category", "fingerprint"),
)
CIRCUIT_BREAKER = Definition(
    "prefect_sdk_circuit_breaker_state",
    "gauge",
    "{breaker}",
    "1 for the state that a circuit breaker is in, 0 for the others.",
    ("breaker", "state"),
)
DEAD_LETTERS = Definition(
    "prefect_sdk_dead_letters",
    "gauge",
    "{letter}",
    "Messages in a dead-letter queue.",
    ("queue",),
)
FUNCTION_DURATION = Definition(
    "prefect_sdk_function_duration_seconds",
    "histogram",
    "s",
    "How long a call of a measured function took.",
    ("function", "outcome"),
    DURATIONS,
)

ALL = (
    PROCESS_CPU,
    TASK_CPU,
    PEAK_MEMORY,
    ATTEMPTS,
    IO_RECORDS,
    IO_BYTES,
    ERRORS,
    CIRCUIT_BREAKER,
    DEAD_LETTERS,
    FUNCTION_DURATION,
)
