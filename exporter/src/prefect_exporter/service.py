"""Where everything is put together: settings in, a polling and publishing service out."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeAlias

import structlog
from aiolimiter import AsyncLimiter

from prefect_exporter import __version__, collectors
from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import LedgerDamaged
from prefect_exporter.exchanges import budget_of
from prefect_exporter.exposition import Exposition
from prefect_exporter.failures.document import document
from prefect_exporter.health.kept import KeptHealth
from prefect_exporter.health.model import Health
from prefect_exporter.health.readings import Readings
from prefect_exporter.ledger import Ledger, open_ledger, replace_ledger
from prefect_exporter.metrics import Counted
from prefect_exporter.moments import moment
from prefect_exporter.polling import Polling, now_us
from prefect_exporter.publisher import Publisher
from prefect_exporter.rates import Rates
from prefect_exporter.report_schedule import ReportSchedule, report_command
from prefect_exporter.reports import Reports
from prefect_exporter.runner import Runner
from prefect_exporter.settings import Settings
from prefect_exporter.shards import Shard
from prefect_exporter.status import Configuration, Status
from prefect_exporter.store import Store
from prefect_exporter.targets import Target, Targets, load_targets
from prefect_exporter.traffic import Traffic

Opening: TypeAlias = Callable[[Path, Mapping[str, Counted], Mapping[str, int], datetime], Ledger]

# A changed file or secret is taken up within this time.
LOOK_AGAIN_SECONDS = 10.0
STEP_SECONDS = 0.05

_log = structlog.get_logger(__name__)


class Service:
    """The exporter without its HTTP server.

    ``publisher`` has what the targets are shown as; it is there once the service is entered.

    Args:
        settings: How the process is set.
        load: Reads the targets; called again to see whether they changed.
        look_again_seconds: How often that is; SIGHUP does it at once.

    Raises:
        BadSettings: The targets, or the connection to one, cannot be set up.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Targets] | None = None,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self._settings = settings
        self._look_again_seconds = look_again_seconds
        self._load = load or (lambda: load_targets(settings))
        self._shard = Shard(settings.shard, settings.shards)
        self._budgets: dict[tuple[str, int], AsyncLimiter] = {}
        self._started = moment(now_us())
        self._targets = self._load()
        self._configuration = Configuration(self._started)
        self._pollings = self._made(self._targets, {})
        self._look = asyncio.Event()
        self._rates = Rates(time.monotonic)
        self._health = KeptHealth(self._readings)
        self._schedule = _schedule(settings)

    async def __aenter__(self) -> Self:
        """Open the ledger, so that a bad one is told before anything is served.

        Raises:
            LedgerError: It is not usable; a damaged one was moved aside instead.
        """
        self._open(open_ledger)
        # The state from before the restart is served at once, and /metrics is never empty.
        await self.publisher.publish()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Finish the commit that was begun, and close."""
        await asyncio.gather(*(polling.stop() for polling in self._pollings.values()))
        self._store.close()

    @property
    def runners(self) -> Iterator[Runner[Any]]:
        """Every collector of every target, at work."""
        return (runner for polling in self._pollings.values() for runner in polling.runners)

    async def run(self) -> None:
        """Poll and publish until cancelled; begin anew where the ledger is damaged meanwhile.

        Raises:
            LedgerError: The damaged ledger cannot be replaced.
        """
        while True:
            damaged = False
            try:
                await self._poll_all()
            except* LedgerDamaged:
                damaged = True
            # Not inside the handler: what goes wrong here is an error of its own, not of a group.
            if damaged:
                shown = self.publisher.current
                self._store.close()
                self._open(replace_ledger)
                self.publisher.current = shown

    async def _poll_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publisher.run())
            self._start(self._pollings.values(), tasks)
            tasks.create_task(self._watch(tasks))
            if self._schedule is not None:
                tasks.create_task(self._schedule.run(lambda: list(self._pollings)))

    def _start(self, pollings: Iterable[Polling], tasks: asyncio.TaskGroup) -> None:
        # One after the other, also from then on: what all do at once, scrapes have to wait for.
        for number, polling in enumerate(pollings):
            polling.start(tasks, self.publisher.poke, after_seconds=number * STEP_SECONDS)

    async def _watch(self, tasks: asyncio.TaskGroup) -> None:
        """Take up targets that changed: on SIGHUP, and whenever a look finds it so."""
        with _on_hangup(self._look.set):
            while True:
                try:
                    await asyncio.wait_for(self._look.wait(), self._look_again_seconds)
                except TimeoutError:
                    pass
                else:
                    self._look.clear()
                await self._reload(tasks)

    async def _reload(self, tasks: asyncio.TaskGroup) -> None:
        try:
            targets = await asyncio.to_thread(self._load)
            if targets != self._targets:
                await self._take_up(targets, tasks)
        except BadSettings as error:
            # What worked goes on: a slip of the pen must not end the watch over everything.
            if error.problems != self._configuration.problems:
                _log.error("targets.rejected", problems=error.problems)
            self._configuration = Configuration(self._configuration.loaded, error.problems)
        else:
            self._configuration = Configuration(moment(now_us()))
        self.publisher.configuration = self._configuration
        # What is gone must go, also where nothing is left that polls.
        self.publisher.poke()

    async def _take_up(self, targets: Targets, tasks: asyncio.TaskGroup) -> None:
        """Stop what is gone or changed, and start what is new; what stays is not touched."""
        before, pollings = self._pollings, self._made(targets, self._pollings)
        new = [each for name, each in pollings.items() if before.get(name) is not each]
        for polling in new:
            polling.prepare(self._store)
        # Before anything is stopped: where the ledger is damaged meanwhile, these begin anew.
        self._targets, self._pollings = targets, pollings
        for name, polling in before.items():
            if pollings.get(name) is not polling:
                await polling.stop()
        # Between two publications, in the thread that makes them.
        await self._store.run(self.publisher.show, tuple(self.runners), self._traffics())
        self._start(new, tasks)
        _log.info("targets.taken_up", targets=sorted(pollings))

    def _made(self, targets: Targets, before: Mapping[str, Polling]) -> dict[str, Polling]:
        """Return what works on the targets of this shard, as before where nothing changed."""
        own = (target for target in targets.targets if self._shard.owns(target.name))
        made: dict[str, Polling] = {}
        for target in own:
            known, budget = before.get(target.name), self._budget(target, targets.budgets)
            if known and known.target == target and known.budget is budget:
                made[target.name] = known
            else:
                made[target.name] = Polling(target, budget, known.traffic if known else Traffic())
        return made

    def _budget(self, target: Target, budgets: Mapping[str, int]) -> AsyncLimiter | None:
        if target.budget is None:
            return None
        key = target.budget, budgets[target.budget]
        return self._budgets.setdefault(key, budget_of(key[1]))

    def exposition(self) -> Exposition:
        """Return the current publication."""
        return self.publisher.current

    def served(self, version: int) -> None:
        """Say that a scrape has had a whole publication."""
        self.publisher.served(version)

    def status(self) -> Status:
        """Return how everything is."""
        ledger = self._store.ledger
        return Status(
            at=moment(now_us()),
            started=self._started,
            version=__version__,
            targets=tuple(polling.status() for polling in self._pollings.values()),
            collectors=tuple(runner.status() for runner in self.runners),
            ledger_path=str(ledger.path),
            ledger_bytes=ledger.size_bytes(),
            series=len(ledger.tally),
            held_series=len(ledger.tally.held),
            configuration=self._configuration,
        )

    async def health(self) -> Health:
        """Return how Prefect is, as far as the collectors know."""
        return await self._health.health()

    def _readings(self) -> list[Readings]:
        return [each.readings(self._rates) for each in self._pollings.values()]

    def failures(self, target: str) -> bytes | None:
        """Return a target's failures as JSON; None while they are not known."""
        polling = self._pollings.get(target)
        if polling is None:
            return None
        readings = polling.readings(self._rates)
        state = readings.state("failure_groups")
        return state and document(target, state, polling.links, moment(readings.now_us))

    def _open(self, opening: Opening) -> None:
        settings = self._settings
        # Each target may switch collectors off; the ledger knows all that any may count.
        families = {
            family.name: family for each in collectors.every(settings) for family in each.counted
        }
        ledger = opening(settings.state_path, families, settings.limits(), moment(now_us()))
        self._store = Store(ledger)
        for polling in self._pollings.values():
            polling.prepare(self._store)
        self.publisher = Publisher(
            tuple(self.runners),
            self._traffics(),
            self._store,
            hold_seconds=settings.hold_seconds,
        )
        self.publisher.configuration = self._configuration
        self.publisher.rates = self._rates
        if self._schedule is not None:
            self.publisher.made = self._schedule.all_made

    def _traffics(self) -> dict[str, Traffic]:
        return {name: polling.traffic for name, polling in self._pollings.items()}


def _schedule(settings: Settings) -> ReportSchedule | None:
    if settings.report_schedule is None:
        return None
    reports = Reports(settings.report_folder)
    command = report_command(settings, reports.folder)
    return ReportSchedule(settings.report_schedule, reports, command, lambda: moment(now_us()))


@contextmanager
def _on_hangup(call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
