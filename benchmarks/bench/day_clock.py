"""A clock for simulations: it runs with the work that is done, and jumps over waiting.

Work is CPU time and not time of day, so that whatever else runs on the machine changes nothing.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple, Unpack

ArgumentTs = TypeVarTuple("ArgumentTs")
T = TypeVar("T")


class Clock:
    """Seconds that rise with work done and waits waited out, from 0 on."""

    def __init__(self) -> None:
        self._offset = -time.process_time()

    def seconds(self) -> float:
        """Return the seconds since the clock was made."""
        return time.process_time() + self._offset

    def skip(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        self._offset += seconds

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Take the work of the body for none: it is the simulation's own."""
        began = time.process_time()
        try:
            yield
        finally:
            self._offset -= time.process_time() - began


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on a `Clock`: where everything in it waits, the clock jumps.

    Nothing in it may wait for a file: only its own timers can end a wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._jumping = clock
        super().__init__(_Jumps(clock))

    def time(self) -> float:
        """Return the clock's seconds; every timeout and sleep goes by them."""
        return self._jumping.seconds()

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[ArgumentTs]], T], *args: *ArgumentTs
    ) -> asyncio.Future[T]:
        """Call *func* at once: the clock would jump while a thread works."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # whoever awaits it meets it there
            done.set_exception(error)
        return done


class _Jumps(selectors.SelectSelector):
    """Looks for what is ready; where nothing is, the time to the next timer has passed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for nothing."""
        ready = super().select(0)
        if not ready and timeout:
            self._clock.skip(timeout)
        return ready
