"""One target at work: its connection, its names, and its collectors; it can be stopped alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiolimiter import AsyncLimiter

from prefect_exporter import collectors
from prefect_exporter.client import PrefectClient
from prefect_exporter.collectors.base import Context
from prefect_exporter.directory import Directory
from prefect_exporter.environment import BadSettings
from prefect_exporter.health.readings import Reading, Readings
from prefect_exporter.rates import Rates
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.status import TargetStatus
from prefect_exporter.store import Store
from prefect_exporter.targets import Target
from prefect_exporter.traffic import Traffic
from prefect_exporter.ui_links import UiLinks, ui_links

# How long the others wait at most for the first polls of what counts.
HEAD_START_SECONDS = 5.0


def now_us() -> int:
    """Return this machine's time in microseconds since 1970."""
    return time.time_ns() // 1000


class Polling:
    """One target at work.

    Args:
        target: The target.
        budget: What it shares with others; None for the budget of its own settings.
        traffic: Where its requests are counted.

    Raises:
        BadSettings: The connection to Prefect cannot be set up.
    """

    def __init__(self, target: Target, budget: AsyncLimiter | None, traffic: Traffic) -> None:
        self.target = target
        self.traffic = traffic
        self.runners: tuple[Runner[Any], ...] = ()
        self._collectors = collectors.build(target.settings)
        self.budget = budget
        self._task: asyncio.Task[None] | None = None
        self._client = self._connect()

    def _connect(self) -> PrefectClient:
        settings = self.target.settings
        try:
            return PrefectClient(
                settings.connection(), observe=self.traffic.observe, budget=self.budget
            )
        except (OSError, ValueError) as error:
            # A certificate file that vanished since it was checked, or an unusable proxy variable.
            name = "" if settings.targets_file is None else f" of target {self.target.name}"
            problem = f"the connection to Prefect{name} cannot be set up: {error}"
            raise BadSettings((problem,)) from None

    def prepare(self, store: Store) -> None:
        """Make the collectors' runners anew, on a ledger."""
        settings, name = self.target.settings, self.target.name
        directory = Directory(name, self._client, store)
        context = Context(name, self._client, directory, store, settings, now_us, time.monotonic)
        outages = Outages(name, time.monotonic)
        self.runners = tuple(Runner(each, context, outages) for each in self._collectors)

    def start(
        self,
        tasks: asyncio.TaskGroup,
        published: Callable[[Runner[Any]], None],
        after_seconds: float = 0.0,
    ) -> None:
        """Poll, as a task of *tasks*, until stopped."""
        work = self._run(published, after_seconds)
        self._task = tasks.create_task(work, name=f"target {self.target.name}")

    async def _run(self, published: Callable[[Runner[Any]], None], after_seconds: float) -> None:
        """Poll what counts first: a slow server is not asked everything at once."""
        await asyncio.sleep(after_seconds)
        async with asyncio.TaskGroup() as tasks:
            required = [runner for runner in self.runners if runner.collector.required]
            for runner in required:
                tasks.create_task(runner.run(published))
            with suppress(TimeoutError):
                async with asyncio.timeout(HEAD_START_SECONDS):
                    await asyncio.gather(*(runner.polled.wait() for runner in required))
            for runner in self.runners:
                if not runner.collector.required:
                    tasks.create_task(runner.run(published))

    async def stop(self) -> None:
        """End every poll, then the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.__aexit__(None, None, None)

    @property
    def links(self) -> UiLinks:
        """Prefect's own pages."""
        return ui_links(self.target.settings.api_url, self.target.settings.ui_url)

    def readings(self, rates: Rates) -> Readings:
        """Return what the collectors last learnt."""
        name = self.target.name
        return Readings(
            name,
            self.target.settings.api_url,
            self.links,
            now_us(),
            {each.collector.name: Reading(each.state, each.status()) for each in self.runners},
            rates.latency_seconds(name),
            rates.rate(name),
        )

    def status(self) -> TargetStatus:
        """Return what is known of the target."""
        states = (each.state for each in self.runners if each.collector.name == "server")
        server = next(states, None)
        version = server.version if server else None
        return TargetStatus(self.target.name, self.target.settings.api_url, version)
