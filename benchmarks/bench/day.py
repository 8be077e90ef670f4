"""A simulated day of very many runs, through the real collectors, ledger and publisher."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.day_api import receive, send
from bench.day_exporter import Counted, Order, Sample
from bench.day_prefect import Question, SimulatedPrefect
from bench.day_runs import AHEAD, Pace, Truth
from prefect_exporter.labels import outcome
from prefect_exporter.moments import HOUR, SECOND

# After the last end: the latest rows arrive, and an audit finds them.
_AFTERWARDS_SECONDS = 480.0
_FEW_HOURS = 4
_MESSAGES = msgspec.json.Decoder(Question | Sample | Counted)
_STATE_TYPES = {"Cached": "COMPLETED", "TimedOut": "FAILED"}


@dataclass(frozen=True, slots=True)
class Day:
    """What the simulation found.

    Args:
        flow_runs_a_day: Each has five task runs.
        samples: One for each simulated hour; every ten minutes of few hours.
        truth: What the simulated Prefect had, in the words of the counters.
        counted: What the exporter's ledger held in the end.
        seconds: Real time for all of it.
    """

    flow_runs_a_day: int
    samples: Sequence[Sample]
    truth: Counted
    counted: Counted
    seconds: float

    @property
    def both(self) -> tuple[Counted, Counted]:
        """Return the truth, and what was counted."""
        return self.truth, self.counted

    @property
    def exact(self) -> bool:
        """Return whether everything was counted once, and nothing else."""
        corrections = self.counted.corrections
        return self.counted == msgspec.structs.replace(self.truth, corrections=corrections)


def measure_day(folder: Path, pace: Pace, progress: Callable[[str], None], **variables: str) -> Day:
    """Simulate the hours of *pace* with a new ledger below *folder*.

    Args:
        folder: Where the ledger is made.
        pace: What happens.
        progress: Is told each hour's end.
        variables: Settings of the exporter other than the defaults.

    Raises:
        RuntimeError: The exporter's process ended before its time.
    """
    began = time.perf_counter()
    last_end = pace.hours * 3600 + AHEAD * 60
    order = Order(
        str(folder / "day.sqlite"),
        seconds=last_end + _AFTERWARDS_SECONDS,
        last_end_seconds=last_end,
        every_seconds=(HOUR if pace.hours > _FEW_HOURS else HOUR / 6) / SECOND,
        variables=variables,
    )
    prefect = SimulatedPrefect(pace)
    samples: list[Sample] = []
    for told in _exporter_on(prefect, order):
        if isinstance(told, Counted):
            truth = _truth(prefect.runs.truth)
            return Day(pace.flow_runs, samples, truth, told, time.perf_counter() - began)
        samples.append(told)
        progress(_line(told))
    raise RuntimeError("the simulated exporter ended before its time")


def _exporter_on(prefect: SimulatedPrefect, order: Order) -> Iterator[Sample | Counted]:
    """Run an exporter to its end, answer what it asks, and yield what it tells."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.day_exporter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as exporter:
        assert exporter.stdin is not None  # noqa: S101  # both are pipes
        assert exporter.stdout is not None  # noqa: S101  # as above
        try:
            send(exporter.stdin, msgspec.json.encode(order))
            while message := receive(exporter.stdout):
                told = _MESSAGES.decode(message)
                if isinstance(told, Question):
                    send(exporter.stdin, prefect.answer(told))
                else:
                    yield told
        finally:
            exporter.terminate()


def _truth(truth: Truth) -> Counted:
    return Counted(
        flow_runs=_by_outcome(truth.flow_runs),
        task_runs=_by_outcome(truth.task_runs),
        flow_run_retries=truth.flow_run_retries,
        task_run_retries=truth.task_run_retries,
        starts=truth.flow_runs.total(),
        corrections=0,
    )


def _by_outcome(numbers: Mapping[str, int]) -> dict[str, float]:
    return {
        outcome(_STATE_TYPES.get(name, name.upper()), name): float(number)
        for name, number in numbers.items()
    }


def _line(sample: Sample) -> str:
    return (
        f"{sample.begin_seconds / 3600:.1f} h: RSS {sample.rss_bytes / 2**20:.0f} MiB, "
        f"CPU {sample.cpu_seconds:.0f} s, ledger {sample.ledger_bytes / 1e6:.0f} MB, "
        f"lag {sample.flow_run_lag:.0f} and {sample.task_run_lag:.0f} s, "
        f"{sample.requests:,} requests, {sample.series:,} series"
    )
