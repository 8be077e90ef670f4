"""Render what has changed, once, after it is in the ledger; scrapes get those bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import ProcessCollector
from prometheus_client.core import Metric

from prefect_exporter import report_schedule, self_metrics, traffic
from prefect_exporter.errors import LedgerDamaged, LedgerError
from prefect_exporter.exposition import (
    Exposition,
    FamilyLines,
    Rendered,
    StateFamily,
    assemble,
    render,
)
from prefect_exporter.ledger import Ledger
from prefect_exporter.metrics import Kind
from prefect_exporter.rates import Rates
from prefect_exporter.report_schedule import Made
from prefect_exporter.runner import Runner
from prefect_exporter.self_metrics import Process
from prefect_exporter.status import Configuration
from prefect_exporter.store import Store
from prefect_exporter.traffic import Traffic

# Polls that end at about the same time share one publication.
GATHER_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class Publisher:
    """The current exposition, and what it is made of.

    Args:
        runners: Every collector of every target.
        traffics: The traffic of each target, by its name.
        store: The ledger.
        hold_seconds: How long a new series waits at 0 for a scrape, at most.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        runners: Sequence[Runner[Any]],
        traffics: dict[str, Traffic],
        store: Store,
        *,
        hold_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._hold_seconds = hold_seconds
        self._clock = clock
        self._served = 0
        self._dirty = asyncio.Event()
        self._counted = self._lines()
        self.show(runners, traffics)
        self._failing = self._release_failing = False
        self._process_metrics = ProcessCollector(registry=None)
        # Versions go on from here: whoever replaces a publisher hands this over.
        self.current = assemble(0, ())
        self.configuration: Configuration | None = None
        # What outlives a publisher: how counts rose lately, and how reports went.
        self.rates: Rates | None = None
        self.made: Callable[[], Mapping[str, Made]] = dict

    def show(self, runners: Sequence[Runner[Any]], traffics: dict[str, Traffic]) -> None:
        """Go over to these targets; call it between two publications, as the store's thread does.

        What the ledger has of others stays there, and is not shown.
        """
        self._runners, self._traffics = runners, traffics
        self._read = _readers(runners)
        self._store.ledger.tally.show_targets(traffics)

    def poke(self, _runner: Runner[Any] | None = None) -> None:
        """Say that something was polled, or that the targets were read."""
        self._dirty.set()

    def served(self, version: int) -> None:
        """Say that a scrape has had a whole publication."""
        self._served = max(self._served, version)

    async def run(self) -> None:
        """Publish whenever something was polled.

        Raises:
            LedgerDamaged: From the ledger, which then cannot say what may be shown.
        """
        while True:
            await self._dirty.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._dirty.clear()
            await self._try_to_publish()

    async def publish(self) -> None:
        """Release what may be shown, and render; the whole runs in the ledger's thread."""
        self.current = await self._store.run(self._publish, self._store.ledger)

    async def _try_to_publish(self) -> None:
        try:
            await self.publish()
        except LedgerDamaged:
            raise
        except Exception:  # noqa: BLE001  # a defect must not end the process
            # What was shown stays; the polls go on counting, and the next publication is whole.
            if not self._failing:
                _log.exception("publication.failed")
            self._failing = True
            await self._store.run(self._store.ledger.tally.change_all)
            self._counted = self._lines()
        else:
            self._failing = False

    def _lines(self) -> list[FamilyLines]:
        return [FamilyLines(family) for family in self._store.ledger.tally.families.values()]

    def _publish(self, ledger: Ledger) -> Exposition:
        now = self._clock()
        self._release(ledger, now)
        if self.rates is not None:
            self.rates.note(ledger.tally, self._traffics)
        version = self.current.version + 1
        exposition = assemble(version, self._render_all(ledger))
        ledger.tally.mark_shown(version, now)
        return exposition

    def _release(self, ledger: Ledger, now: float) -> None:
        due = ledger.tally.due(self._served, now, self._hold_seconds)
        if not due:
            return
        try:
            ledger.release(due)
        except LedgerDamaged:
            raise
        except LedgerError as error:
            # What is held stays held until there is room; everything else is shown.
            if not self._release_failing:
                _log.warning("release.failed", reason=str(error))
            self._release_failing = True
        else:
            self._release_failing = False

    def _render_all(self, ledger: Ledger) -> Iterator[Rendered]:
        for family in self._counted:
            yield family.update(ledger.tally)
        for read, runners in self._read.values():
            yield read.update(_states(read.kind, runners))
        for metric in self._own_metrics():
            yield render(metric)

    def _own_metrics(self) -> Iterator[Metric]:
        for each in traffic.FAMILIES:
            yield each.fill(self._traffics.items())
        yield traffic.durations(self._traffics)
        for own in self_metrics.COLLECTOR_FAMILIES:
            yield own.fill(self._by_target().items())
        for process in self_metrics.PROCESS_FAMILIES:
            # Also a shard without a target says that it is there.
            yield process.fill((target, self._process()) for target in self._traffics or ("",))
        if made := self.made():
            yield from (report.fill(made.items()) for report in report_schedule.FAMILIES)
        yield from self._process_metrics.collect()

    def _by_target(self) -> dict[str, list[Runner[Any]]]:
        by_target: dict[str, list[Runner[Any]]] = {target: [] for target in self._traffics}
        for runner in self._runners:
            by_target[runner.target].append(runner)
        return by_target

    def _process(self) -> Process:
        ledger = self._store.ledger
        return Process(
            ledger_bytes=ledger.size_bytes(),
            series=len(ledger.tally),
            held_series=len(ledger.tally.held),
            ledger_replaced_seconds=ledger.replaced_seconds,
            configuration=self.configuration,
        )


def _readers(runners: Sequence[Runner[Any]]) -> dict[str, tuple[StateFamily, list[Runner[Any]]]]:
    """Return the families that are read off states, by name: all targets have the same ones."""
    readers: dict[str, tuple[StateFamily, list[Runner[Any]]]] = {}
    for runner in runners:
        for family in runner.collector.families:
            if family.name not in readers:
                readers[family.name] = StateFamily(family), []
            readers[family.name][1].append(runner)
    return readers


def _states(kind: Kind, runners: Sequence[Runner[Any]]) -> list[tuple[str, Any]]:
    """Return the good states by target; stale gauges go, counters never do."""
    return [
        (runner.target, runner.state)
        for runner in runners
        if runner.state is not None and (runner.fresh or kind is Kind.COUNTER)
    ]
