"""A flow run's labels go to the server, and nobody waits for them for long."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from prefect_instrumentation._guard import once
from prefect_instrumentation._text import type_name

TIMEOUT = 5.0
"""Seconds that a run waits; Prefect's client by itself would try for minutes."""

PAUSE = 60.0
"""Seconds for which no labels are sent after a server that did not answer."""


class Labelling:
    """Stores labels, unless the server has just kept a run waiting."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paused_until = float("-inf")

    def store(self, client: Any, run_id: Any, labels: Mapping[str, Any]) -> None:  # noqa: ANN401
        """Store labels by a `SyncPrefectClient`; after the wait it may still succeed by itself."""
        if self._clock() < self._paused_until:
            return
        context = contextvars.copy_context()

        def send() -> None:
            try:
                client.update_flow_run_labels(run_id, labels)
            except Exception as error:  # noqa: BLE001 - a flow is worth more than its labels
                _tell(type_name(type(error)))

        sender = threading.Thread(target=context.run, args=(send,), daemon=True)
        try:
            sender.start()
        except RuntimeError:
            _tell("no thread is left")
            return
        sender.join(TIMEOUT)
        if sender.is_alive():
            self._give_up()

    async def store_async(
        self,
        update: Callable[[Any, Mapping[str, Any]], Coroutine[Any, Any, None]],
        run_id: Any,  # noqa: ANN401 - a UUID
        labels: Mapping[str, Any],
    ) -> None:
        """Store labels by the method of a `PrefectClient`."""
        if self._clock() < self._paused_until:
            return
        try:
            await asyncio.wait_for(update(run_id, labels), TIMEOUT)
        except TimeoutError:
            self._give_up()
        except Exception as error:  # noqa: BLE001 - as above
            _tell(type_name(type(error)))

    def _give_up(self) -> None:
        self._paused_until = self._clock() + PAUSE
        _tell("no answer")


def _tell(reason: str) -> None:
    once(
        "labels",
        "The labels of a flow run were not stored (%s): other processes may lose its trace.",
        reason,
    )
