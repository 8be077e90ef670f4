"""Log records on their way to a provider that is set up beside whoever logs."""

from __future__ import annotations

# Executors are told to end by the same means as ours, the latest first: theirs is to be earlier.
import concurrent.futures.thread  # noqa: F401 - as said
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from opentelemetry._logs import LogRecord

from prefect_instrumentation._guard import guarded
from prefect_instrumentation._provider.delivery import Counted, Provider, Way
from prefect_instrumentation._provider.signals import LOGS

MOST_HELD = 2048
"""Log records that wait for the provider: as many as its own queue takes."""

LONGEST_SETUP = 5.0
"""Seconds that a fork, or the end, waits for a provider that is being set up."""


class Outlet(NamedTuple):
    """Where log records go.

    Args:
        emit: takes one.
        provider: flushes them.
        counted: counts them; nothing does for a provider of the user's.
        is_ours: whether we shut the provider down.
    """

    emit: Callable[[LogRecord], None]
    provider: Provider
    counted: Sequence[Counted]
    is_ours: bool


class LogEmitter:
    """Emits log records; the first one has the outlet set up, by the courier of its way.

    Whoever logs may hold a lock that the set-up needs to tell of a bad setting, and the SDK takes
    long to import: nobody waits for it but the end of the process, and a fork, whose child could
    not go on with an import that another thread had begun.

    Args:
        set_up: returns the outlet, or None if records go nowhere.
    """

    def __init__(self, set_up: Callable[[], Outlet | None]) -> None:
        self._set_up = set_up
        self._outlet: Outlet | None = None
        self._emit: Callable[[LogRecord], None] | None = None
        self._asked = False
        self._reset()
        self.way = Way(self, (self,), LOGS)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._settle)
        _before_executors_end(self._settle)

    def emit(self, record: LogRecord) -> None:
        """Emit a record, or hold it until it can be."""
        if self._emit is not None:
            self._emit(record)
            return
        self._dropped += len(self._held) == MOST_HELD
        self._held.append(record)
        if not self._asked:
            self._asked = True
            # It sends nothing yet: gRPC takes it ill if a process forks amid its first connection.
            self.way.prepare(self._prepare)

    def force_flush(self) -> bool:
        """Set up what is needed, and send what is held."""
        self._prepare()
        return self._outlet is None or self._outlet.provider.force_flush()

    def shutdown(self) -> None:
        """Send what is held, and nothing more after that."""
        self._prepare()
        self._emit = _drop
        if self._outlet is not None and self._outlet.is_ours:
            self._outlet.provider.shutdown()

    @property
    def ended(self) -> int:
        """Log records of this process."""
        waiting = self._dropped + len(self._held)
        return waiting + max((each.ended for each in self._counted), default=0)

    @property
    def undelivered(self) -> int:
        """Those among them that have not arrived, be they waiting or lost."""
        waiting = self._dropped + len(self._held)
        return waiting + max((each.undelivered for each in self._counted), default=0)

    def renew(self) -> None:
        """Start anew in a forked child."""
        for each in self._counted:
            each.renew()
        self._reset()
        if self._outlet is not None:
            self._emit = self._outlet.emit

    @property
    def _counted(self) -> Sequence[Counted]:
        return self._outlet.counted if self._outlet else ()

    def _reset(self) -> None:
        self._held: deque[LogRecord] = deque(maxlen=MOST_HELD)
        self._dropped = 0
        self._asked = False
        self._settled = threading.Event()

    def _prepare(self) -> None:
        try:
            if self._emit is None and self._held:
                self._outlet = guarded(self._set_up)()
                self._emit = self._outlet.emit if self._outlet else _drop
            while self._held and self._emit is not None:
                self._emit(self._held.popleft())
        finally:
            self._settled.set()

    def _settle(self) -> None:
        if self._asked:
            self._settled.wait(LONGEST_SETUP)


def _before_executors_end(wait: Callable[[], None]) -> None:
    """Wait before the functions of atexit do, after which the SDK cannot be set up any more."""
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with suppress(RuntimeError):  # the process ends already
            register(wait)


def _drop(_: LogRecord) -> None:
    """Take no record."""
