"""The exporter's side of a simulated day: a process of its own, ``python -m bench.day_exporter``.

What it asks goes to standard output and is answered on standard input; in between it tells how it
is doing. So its memory and CPU time are the exporter's, and hold nothing of the simulated Prefect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple, ParamSpec, TypeVar

import msgspec

# What `serve` has in memory, so that the sizes are those of the whole exporter.
import prefect_exporter.__main__  # noqa: F401  # imported for its weight
from bench.day_api import SimulatedApi, receive, send
from bench.day_clock import Clock, JumpingLoop
from bench.day_runs import BEGIN_US
from prefect_exporter import collectors
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FEED as FLOW_RUNS
from prefect_exporter.collectors.flow_runs import FINISHED, RETRIES
from prefect_exporter.collectors.task_runs import FINISHED as TASKS_FINISHED
from prefect_exporter.collectors.task_runs import RETRIES as TASK_RETRIES
from prefect_exporter.directory import Directory
from prefect_exporter.ledger import Ledger
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.moments import SECOND
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.settings import Settings
from prefect_exporter.store import Store
from prefect_exporter.traffic import Traffic

P = ParamSpec("P")
T = TypeVar("T")

TARGET = "default"
SCRAPE_SECONDS = 15.0


class Order(msgspec.Struct, frozen=True):
    """What to simulate.

    Args:
        ledger: Its file, which does not exist yet.
        seconds: How long, in simulated time.
        last_end_seconds: When the last run ends.
        every_seconds: How often to tell how it is, in simulated time.
        variables: Settings by their names.
    """

    ledger: str
    seconds: float
    last_end_seconds: float
    every_seconds: float
    variables: dict[str, str]


class Sample(msgspec.Struct, frozen=True, tag=True):
    """How it was in a stretch of simulated time, or at its end.

    Args:
        begin_seconds: Since the day began.
        seconds: How long the stretch is.
        rss_bytes: Resident memory at its end.
        cpu_seconds: User and system time of the whole process.
        ledger_bytes: The file and its journal, at the end.
        series: Lines of the counted families, a histogram bucket being one, at the end.
        flow_run_lag: The longest that the newest end counted was behind the time, in seconds.
        task_run_lag: The same for task runs.
        requests: Asked in that time.
        publications: Rendered in that time.
        failures: Failed polls in that time.
    """

    begin_seconds: float
    seconds: float
    rss_bytes: int
    cpu_seconds: float
    ledger_bytes: int
    series: int
    flow_run_lag: float
    task_run_lag: float
    requests: int
    publications: int
    failures: int


class Counted(msgspec.Struct, frozen=True, tag=True):
    """What the ledger has counted when all is over; *corrections* are the audits' share of it."""

    flow_runs: dict[str, float]
    task_runs: dict[str, float]
    flow_run_retries: float
    task_run_retries: float
    starts: float
    corrections: float


class InlineStore(Store):
    """The ledger without its thread, for a loop that may not wait for one."""

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what *call* returns."""
        return call(*args, **kwargs)


class _Exporter:
    """Collectors, ledger and publisher as `prefect_exporter.service` puts them together."""

    def __init__(self, order: Order, api: SimulatedApi, clock: Clock) -> None:
        settings = Settings.model_validate(order.variables)
        built = collectors.build(settings)
        families = {family.name: family for each in built for family in each.counted}
        self.ledger = Ledger(Path(order.ledger), families, settings.limits())
        store = InlineStore(self.ledger)
        context = Context(
            TARGET,
            api,
            Directory(TARGET, api, store),
            store,
            settings,
            now_us=api.now_us,
            monotonic=clock.seconds,
        )
        outages = Outages(TARGET, clock.seconds)
        self.runners: list[Runner[Any]] = [Runner(each, context, outages) for each in built]
        self.publisher = Publisher(
            self.runners,
            {TARGET: Traffic()},
            store,
            hold_seconds=settings.hold_seconds,
            clock=clock.seconds,
        )

    async def run(self) -> None:
        """Poll, publish and be scraped for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publisher.run())
            tasks.create_task(self._be_scraped())
            for runner in self.runners:
                tasks.create_task(runner.run(self.publisher.poke))

    async def _be_scraped(self) -> None:
        while True:
            await asyncio.sleep(SCRAPE_SECONDS)
            self.publisher.served(self.publisher.current.version)

    def counted(self) -> Counted:
        """Return what the ledger holds."""
        tally = self.ledger.tally
        return Counted(
            flow_runs=_by_outcome(tally.scalars[FINISHED.name]),
            task_runs=_by_outcome(tally.scalars[TASKS_FINISHED.name]),
            flow_run_retries=sum(tally.scalars[RETRIES.name].values()),
            task_run_retries=sum(tally.scalars[TASK_RETRIES.name].values()),
            starts=sum(
                sum(histogram.counts)
                for histogram in tally.histograms["prefect_flow_run_start_delay_seconds"].values()
            ),
            corrections=sum(
                runner.state.corrections
                for runner in self.runners
                if runner.collector.name.endswith("_audit") and runner.state is not None
            ),
        )


class _Reading(NamedTuple):
    """What has risen since the process began."""

    cpu_seconds: float
    requests: int
    publications: int
    failures: int


class _Watch:
    """Takes samples, and the lag every second."""

    def __init__(self, exporter: _Exporter, api: SimulatedApi, order: Order) -> None:
        self._exporter, self._api = exporter, api
        self._every, self._last_end = order.every_seconds, order.last_end_seconds
        self._lags = {FLOW_RUNS: 0.0, "task_runs": 0.0}
        self._before = self._now()

    async def run(self, out: IO[bytes]) -> None:
        """Watch for ever, and tell."""
        begin = 0.0
        while True:
            while self._api.now_us() < BEGIN_US + (begin + self._every) * SECOND:
                await asyncio.sleep(1)
                self._take_lag()
            send(out, msgspec.json.encode(self._sample(begin)))
            begin += self._every
            self._lags = dict.fromkeys(self._lags, 0.0)

    def _take_lag(self) -> None:
        now_us = self._api.now_us()
        if now_us > BEGIN_US + self._last_end * SECOND:
            # The newest end grows old because no run ends any more.
            return
        for feed, lag in self._lags.items():
            cursor = self._exporter.ledger.cursor(TARGET, feed)
            if cursor is not None and cursor.newest_us:
                self._lags[feed] = max(lag, (now_us - cursor.newest_us) / SECOND)

    def _sample(self, begin_seconds: float) -> Sample:
        ledger = self._exporter.ledger
        now, before = self._now(), self._before
        self._before = now
        return Sample(
            begin_seconds,
            self._every,
            _resident_bytes(),
            now.cpu_seconds - before.cpu_seconds,
            sum(each.stat().st_size for each in ledger.path.parent.glob(f"{ledger.path.name}*")),
            _lines(ledger.tally),
            self._lags[FLOW_RUNS],
            self._lags["task_runs"],
            now.requests - before.requests,
            now.publications - before.publications,
            now.failures - before.failures,
        )

    def _now(self) -> _Reading:
        return _Reading(
            time.process_time(),
            self._api.requests,
            self._exporter.publisher.current.version,
            sum(runner.polls["failure"] for runner in self._exporter.runners),
        )


def _by_outcome(values: dict[tuple[str, ...], float]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for labels, value in values.items():
        totals[labels[-1]] = totals.get(labels[-1], 0.0) + value
    return {outcome: total for outcome, total in totals.items() if total}


def _lines(tally: Tally) -> int:
    """Return how many lines the counted families have: a bucket, a sum and a count are one each."""
    scalars = sum(map(len, tally.scalars.values()))
    histograms = tally.histograms.items()
    return scalars + sum(len(each) * (len(tally.families[n].bounds) + 3) for n, each in histograms)


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


async def _simulate(order: Order, api: SimulatedApi, clock: Clock, out: IO[bytes]) -> Counted:
    exporter = _Exporter(order, api, clock)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(order.seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(exporter.run())
                tasks.create_task(_Watch(exporter, api, order).run(out))
        return exporter.counted()
    finally:
        exporter.ledger.close()


def main() -> None:
    """Take the order, simulate, and tell what was counted."""
    order = msgspec.json.decode(receive(sys.stdin.buffer), type=Order)
    clock = Clock()
    # Log lines are printed: they must not come between the messages.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    api = SimulatedApi(out, sys.stdin.buffer, clock, BEGIN_US)
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
        counted = runner.run(_simulate(order, api, clock, out))
    send(out, msgspec.json.encode(counted))


if __name__ == "__main__":
    main()
