"""Where everything is put together: settings in, a polling and publishing service out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeAlias

from prefect_exporter import __version__, collectors
from prefect_exporter.client import PrefectClient
from prefect_exporter.collectors.base import Context
from prefect_exporter.directory import Directory
from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import LedgerDamaged
from prefect_exporter.exposition import Exposition
from prefect_exporter.ledger import Ledger, open_ledger, replace_ledger
from prefect_exporter.metrics import Counted
from prefect_exporter.moments import moment
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.settings import Settings
from prefect_exporter.status import Status, TargetStatus
from prefect_exporter.store import Store
from prefect_exporter.traffic import Traffic

Opening: TypeAlias = Callable[[Path, Mapping[str, Counted], Mapping[str, int], datetime], Ledger]


def now_us() -> int:
    """Return this machine's time in microseconds since 1970."""
    return time.time_ns() // 1000


class Service:
    """The exporter without its HTTP server.

    ``runners`` are its collectors at work and ``publisher`` has what they are shown as; both are
    there once it is entered.

    Args:
        settings: How it is set.

    Raises:
        BadSettings: The connection to Prefect cannot be set up with them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._collectors = collectors.build(settings)
        self._traffic = Traffic()
        try:
            self._client = PrefectClient(settings.connection(), observe=self._traffic.observe)
        except (OSError, ValueError) as error:
            # A certificate file that vanished since it was checked, or an unusable proxy variable.
            problem = f"the connection to Prefect cannot be set up: {error}"
            raise BadSettings((problem,)) from None
        self._started = moment(now_us())

    async def __aenter__(self) -> Self:
        """Open the ledger, so that a bad one is told before anything is served.

        Raises:
            LedgerError: It is not usable; a damaged one was moved aside instead.
        """
        self._open(open_ledger)
        await self._client.__aenter__()
        # The state from before the restart is served at once, and /metrics is never empty.
        await self.publisher.publish()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Finish the commit that was begun, and close."""
        await self._client.__aexit__(None, None, None)
        self._store.close()

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
            for runner in self.runners:
                tasks.create_task(runner.run(self.publisher.poke))

    def exposition(self) -> Exposition:
        """Return the current publication."""
        return self.publisher.current

    def served(self, version: int) -> None:
        """Say that a scrape has had a whole publication."""
        self.publisher.served(version)

    def status(self) -> Status:
        """Return how everything is."""
        ledger = self._store.ledger
        server = next(r for r in self.runners if r.collector.name == "server")
        version = server.state.version if server.state else None
        target = TargetStatus(self._settings.target, self._settings.api_url, version)
        return Status(
            at=moment(now_us()),
            started=self._started,
            version=__version__,
            targets=(target,),
            collectors=tuple(runner.status() for runner in self.runners),
            ledger_path=str(ledger.path),
            ledger_bytes=ledger.size_bytes(),
            series=len(ledger.tally),
            held_series=len(ledger.tally.held),
        )

    def _open(self, opening: Opening) -> None:
        settings, target = self._settings, self._settings.target
        families = {family.name: family for each in self._collectors for family in each.counted}
        ledger = opening(settings.state_path, families, settings.limits(), moment(now_us()))
        self._store = Store(ledger)
        directory = Directory(target, self._client, self._store)
        context = Context(
            target, self._client, directory, self._store, settings, now_us, time.monotonic
        )
        outages = Outages(target, time.monotonic)
        self.runners: list[Runner[Any]] = [
            Runner(each, context, outages) for each in self._collectors
        ]
        self.publisher = Publisher(
            self.runners,
            {target: self._traffic},
            self._store,
            hold_seconds=settings.hold_seconds,
        )
