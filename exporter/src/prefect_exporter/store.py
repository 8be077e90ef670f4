"""The ledger from the event loop: every call runs in the one thread that may touch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from prefect_exporter.ledger import Ledger

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """Run ledger calls one after another, off the event loop, to their end.

    A commit that was begun is finished also where its caller is cancelled, so file and memory
    never part.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what *call* returns; *call* is a method of the ledger, or reads its tally."""
        job = self._thread.submit(call, *args, **kwargs)
        return await asyncio.shield(asyncio.wrap_future(job))

    def close(self) -> None:
        """Finish what was begun, and close the file; closing twice is harmless."""
        self._thread.shutdown()
        self.ledger.close()
