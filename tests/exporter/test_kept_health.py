"""The health is made in a thread, once a second at most, whoever looks and goes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import pytest

from healths import World
from prefect_exporter.health.kept import KEPT_SECONDS, KeptHealth
from prefect_exporter.health.model import Health
from prefect_exporter.health.readings import Readings
from prefect_exporter.health.whole import health_of


class Made:
    """Makes the health, where asked to not before it may, and counts how often."""

    def __init__(self) -> None:
        self.now = 100.0
        self.times = 0
        self.threads: set[threading.Thread] = set()
        self.may = threading.Event()
        self.may.set()
        self.began = threading.Event()
        self.error: Exception | None = None
        self.kept = KeptHealth(lambda: [World().readings()], self._make, lambda: self.now)

    def _make(self, targets: Sequence[Readings]) -> Health:
        self.times += 1
        self.threads.add(threading.current_thread())
        self.began.set()
        assert self.may.wait(10.0)
        if self.error:
            raise self.error
        return health_of(targets)


def _all(ask: Callable[[Made], Coroutine[Any, Any, None]]) -> Made:
    made = Made()
    asyncio.run(ask(made))
    return made


def test_health_is_made_anew_after_a_second() -> None:
    """Within a second everybody gets the same; then it is made again."""

    async def ask(made: Made) -> None:
        first = await made.kept.health()
        made.now += KEPT_SECONDS - 0.01
        assert first is await made.kept.health()
        made.now += 0.01
        assert first is not await made.kept.health()

    assert 2 == _all(ask).times


def test_health_is_made_beside_the_event_loop() -> None:
    """While it is made the loop goes on, and who comes meanwhile waits for the same."""

    async def ask(made: Made) -> None:
        made.may.clear()
        several = [asyncio.create_task(made.kept.health()) for _ in range(5)]
        await asyncio.to_thread(made.began.wait, 10.0)
        made.now += 60.0
        several.append(asyncio.create_task(made.kept.health()))
        await asyncio.sleep(0)
        made.may.set()
        assert 1 == len({id(each) for each in await asyncio.gather(*several)})

    made = _all(ask)
    assert 1 == made.times
    assert threading.main_thread() not in made.threads


def test_who_goes_away_takes_nothing_from_others() -> None:
    """A browser that closes its connection ends its own wait alone."""

    async def ask(made: Made) -> None:
        made.may.clear()
        gone, other = (asyncio.create_task(made.kept.health()) for _ in range(2))
        await asyncio.to_thread(made.began.wait, 10.0)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        made.may.set()
        assert isinstance(await other, Health)

    assert 1 == _all(ask).times


def test_failure_is_not_kept_for_ever() -> None:
    """An error goes to who asked, and a second later it is tried again."""

    async def ask(made: Made) -> None:
        made.error = ValueError("broken")
        with pytest.raises(ValueError, match="broken"):
            await made.kept.health()
        made.error = None
        made.now += KEPT_SECONDS
        assert isinstance(await made.kept.health(), Health)

    assert 2 == _all(ask).times
