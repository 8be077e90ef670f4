"""One collector of one target at work: its last good state, and how its last poll went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Generic

import structlog

from prefect_exporter.collectors.base import Collector, Context, StateT
from prefect_exporter.errors import ApiError, ExporterError, LedgerDamaged, Waiting
from prefect_exporter.moments import SECOND, moment, seconds
from prefect_exporter.status import CollectorStatus

# Between two polls, also where one takes longer than its interval.
SHORTEST_PAUSE_SECONDS = 0.5
# Every request has its own deadline; this one ends a poll whose pages never end. What a poll has
# counted by then is kept, so that a long backlog is read over several polls.
DEADLINE_SECONDS = 600

_log = structlog.get_logger(__name__)


class Runner(Generic[StateT]):
    """Poll one collector, and keep what it last learnt; one failure stays its own."""

    def __init__(self, collector: Collector[StateT], context: Context, outages: Outages) -> None:
        self.collector = collector
        self._context = context
        self._outages = outages
        self._state: StateT | None = None
        self._success_us: int | None = None
        self._succeeded: bool | None = None
        self._seconds = 0.0
        self._failure: tuple[str, str] | None = None
        self.polls = {"success": 0, "failure": 0}

    @property
    def target(self) -> str:
        """The value of the ``target`` label."""
        return self._context.target

    @property
    def fresh(self) -> bool:
        """Whether the last good poll is younger than the stale limit, or than two intervals."""
        if self._success_us is None:
            return False
        limit = max(self._context.settings.stale_after_seconds, 2 * self.collector.interval_seconds)
        return self._context.now_us() - self._success_us < limit * SECOND

    @property
    def state(self) -> StateT | None:
        """The last good state; None before the first."""
        return self._state

    def status(self) -> CollectorStatus:
        """Return how the last poll went."""
        kind, error = self._failure or (None, None)
        last_success: datetime | None = None
        if self._success_us is not None:
            last_success = moment(self._success_us)
        return CollectorStatus(
            target=self.target,
            name=self.collector.name,
            required=self.collector.required,
            polls=sum(self.polls.values()),
            succeeded=self._succeeded,
            last_success=last_success,
            duration_seconds=self._seconds,
            fresh=self.fresh,
            error_kind=kind,
            error=error,
        )

    async def run(self, published: Callable[[Runner[StateT]], None]) -> None:
        """Poll for ever, at the collector's interval; tell *published* after each poll.

        Raises:
            LedgerDamaged: Nothing can be counted any more.
        """
        while True:
            began_us = self._context.now_us()
            await self.tick()
            published(self)
            took = max(seconds(self._context.now_us() - began_us), 0.0)
            await asyncio.sleep(max(self._pause_seconds() - took, SHORTEST_PAUSE_SECONDS))

    def _pause_seconds(self) -> float:
        waiting = self._failure is not None and self._failure[0] == "waiting"
        return 1.0 if waiting else self.collector.interval_seconds

    async def tick(self) -> None:
        """Poll once; keep the last good state where that fails."""
        began_us = self._context.now_us()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                self._state = await self.collector.poll(self._context, self._state)
        except LedgerDamaged:
            raise
        except TimeoutError:
            self._failed("timeout", f"the poll was cut off after {DEADLINE_SECONDS} s")
        except ExporterError as error:
            self._failed(_kind(error), str(error))
        except Exception as error:  # noqa: BLE001  # a defect must not take the others along
            _log.exception("poll.broke", target=self.target, collector=self.collector.name)
            self._failed(
                "internal", f"a defect of the exporter: {type(error).__name__}; see its log"
            )
        else:
            self._worked()
        self._seconds = max(seconds(self._context.now_us() - began_us), 0.0)

    def _worked(self) -> None:
        self._outages.end(self.collector.name)
        self._succeeded = True
        self._failure = None
        self._success_us = self._context.now_us()
        self.polls["success"] += 1

    def _failed(self, kind: str, reason: str) -> None:
        self._outages.begin(self.collector.name, kind, reason)
        self._succeeded = False
        self._failure = (kind, reason)
        self.polls["failure"] += 1


class Outages:
    """What does not work with one target, told once and not by each collector and poll again.

    Args:
        target: The value of the ``target`` label.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._kinds: dict[str, str] = {}

    def begin(self, collector: str, kind: str, reason: str) -> None:
        """Note a failure; the first of its kind is worth a line."""
        known = kind in self._kinds.values()
        self._kinds[collector] = kind
        level = logging.DEBUG if known or kind == "waiting" else logging.WARNING
        _log.log(
            level, "poll.failed", target=self._target, collector=collector, kind=kind, reason=reason
        )

    def end(self, collector: str) -> None:
        """Note that a collector works; the last one to recover is worth a line."""
        kind = self._kinds.pop(collector, None)
        if kind is not None and not self._kinds:
            _log.info("polls.recovered", target=self._target, after=kind)


def _kind(error: ExporterError) -> str:
    if isinstance(error, ApiError):
        return error.kind
    return "waiting" if isinstance(error, Waiting) else "ledger"
