"""The health of all targets, made anew once a second at most, however many look at it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from prefect_exporter.health.model import Health
from prefect_exporter.health.readings import Readings
from prefect_exporter.health.whole import health_of

KEPT_SECONDS = 1.0


class KeptHealth:
    """Make the health in a thread: with thousands of deployments scrapes would wait for it.

    Args:
        read: Returns the readings of each target; called in the event loop.
        make: Turns them into the health; called in a thread, never twice at a time.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Readings]],
        make: Callable[[Sequence[Readings]], Health] = health_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._make = make
        self._clock = clock
        self._began = -math.inf
        self._task: asyncio.Task[Health] | None = None

    async def health(self) -> Health:
        """Return the health as of a second ago or later."""
        if self._task is None or (self._task.done() and self._is_old()):
            self._began = self._clock()
            self._task = asyncio.create_task(asyncio.to_thread(self._make, self._read()))
        # Whoever goes away takes it from nobody else.
        return await asyncio.shield(self._task)

    def _is_old(self) -> bool:
        return self._clock() - self._began >= KEPT_SECONDS
