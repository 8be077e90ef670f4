"""Give a demo something to do for as long as somebody wants to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import stamina

from demo.driver import Driver
from demo.installation import Installation


def keep_busy(parts: Installation, ended: Callable[[], bool]) -> None:
    """Start one run after the other.

    Args:
        parts: The running demo.
        ended: Waits as long as lies between two runs; returns whether that was the last one.
    """
    # A request that is tried again is no news.
    stamina.instrumentation.set_on_retry_hooks([])
    with parts.server.client() as client:
        driver = Driver(client, parts.deployments)
        while not ended():
            # A busy server is asked again in the next round.
            with suppress(httpx.HTTPError):
                driver.step()


def after(seconds: float, *, pause: float) -> Callable[[], bool]:
    """Return an `ended` for `keep_busy`: so many seconds from now, with pauses of *pause*."""
    deadline = time.monotonic() + seconds

    def ended() -> bool:
        time.sleep(pause)
        return time.monotonic() > deadline

    return ended
