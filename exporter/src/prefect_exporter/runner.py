"""One collector of one target at work: its last good state, and how its last poll went."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Generic

import structlog

from prefect_exporter.collectors.base import Collector, Context, StateT
from prefect_exporter.errors import ApiError, ExporterError, LedgerDamaged, Rejected, Waiting
from prefect_exporter.moments import moment
from prefect_exporter.status import CollectorStatus

# Between two polls, also where one takes longer than its interval.
SHORTEST_PAUSE_SECONDS = 0.5
# Every request has its own deadline; this one ends a poll whose pages never end. What a poll has
# counted by then is kept, so that a long backlog is read over several polls.
DEADLINE_SECONDS = 600
# How soon a server that lacks a route is asked again: it may be upgraded.
UNSUPPORTED_PAUSE_SECONDS = 300.0
_LACKING = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
# An outage that goes on is told again, but does not fill the log.
TELL_AGAIN_SECONDS = 600.0

_log = structlog.get_logger(__name__)


class Runner(Generic[StateT]):
    """Poll one collector, and keep what it last learnt; one failure stays its own."""

    def __init__(self, collector: Collector[StateT], context: Context, outages: Outages) -> None:
        self.collector = collector
        self._context = context
        self._outages = outages
        self._state: StateT | None = None
        self._success_us: int | None = None
        self._success_at = 0.0
        self._succeeded: bool | None = None
        self._seconds = 0.0
        self._failure: tuple[str, str] | None = None
        self._supported = True
        self.polls = {"success": 0, "failure": 0}
        # Set when the first poll has ended, well or badly.
        self.polled = asyncio.Event()

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
        return self._context.monotonic() - self._success_at < limit

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
            supported=self._supported,
        )

    async def run(self, published: Callable[[Runner[StateT]], None]) -> None:
        """Poll for ever, at the collector's interval; tell *published* after each poll.

        Raises:
            LedgerDamaged: Nothing can be counted any more.
        """
        while True:
            began = self._context.monotonic()
            await self.tick()
            published(self)
            took = self._context.monotonic() - began
            await asyncio.sleep(max(self._pause_seconds() - took, SHORTEST_PAUSE_SECONDS))

    def _pause_seconds(self) -> float:
        if self._failure is not None and self._failure[0] == "waiting":
            return 1.0
        usual = self.collector.interval_seconds
        return usual if self._supported else max(usual, UNSUPPORTED_PAUSE_SECONDS)

    async def tick(self) -> None:
        """Poll once; keep the last good state where that fails."""
        began = self._context.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                self._state = await self.collector.poll(self._context, self._state)
        except LedgerDamaged:
            raise
        except TimeoutError:
            self._failed("timeout", f"the poll was cut off after {DEADLINE_SECONDS} s")
        except ExporterError as error:
            if self._lacks(error):
                self._lacking(str(error))
            else:
                self._failed(_kind(error), str(error))
        except Exception as error:  # noqa: BLE001  # a defect must not take the others along
            defect = f"a defect of the exporter: {type(error).__name__}; see its log"
            self._failed("internal", defect, error)
        else:
            self._worked()
        self._seconds = self._context.monotonic() - began
        self.polled.set()

    def _lacks(self, error: ExporterError) -> bool:
        """Return whether Prefect has no such route: then there is nothing to mend.

        What is required, or has worked before, is not merely lacking; and where the required is
        not found either, the address is wrong.
        """
        lacking = isinstance(error, Rejected) and error.status in _LACKING
        optional = not self.collector.required and self._state is None
        return lacking and optional and not self._outages.has("not_found")

    def _lacking(self, reason: str) -> None:
        if self._supported:
            _log.info(
                "collector.unsupported",
                target=self.target,
                collector=self.collector.name,
                reason=reason,
            )
        self._supported = False
        self._succeeded = None
        self._failure = None

    def _worked(self) -> None:
        self._outages.end(self.collector.name)
        self._supported = True
        self._succeeded = True
        self._failure = None
        self._success_us = self._context.now_us()
        self._success_at = self._context.monotonic()
        self.polls["success"] += 1

    def _failed(self, kind: str, reason: str, defect: Exception | None = None) -> None:
        self._outages.begin(self.collector.name, kind, reason, defect)
        self._supported = True
        self._succeeded = False
        self._failure = (kind, reason)
        self.polls["failure"] += 1


class Outages:
    """What does not work with one target, told once and not by each collector and poll again.

    Args:
        target: The value of the ``target`` label.
        monotonic: Seconds that only rise.
    """

    def __init__(self, target: str, monotonic: Callable[[], float]) -> None:
        self._target = target
        self._monotonic = monotonic
        self._failing: dict[str, str] = {}
        self._told: dict[tuple[str, str], float] = {}

    def begin(
        self, collector: str, kind: str, reason: str, defect: Exception | None = None
    ) -> None:
        """Note a failure; a cause that was not told lately is worth a line, a defect its trace."""
        if kind == "waiting":
            return
        self._failing[collector] = kind
        now = self._monotonic()
        cause = (kind, _cause(reason))
        if now - self._told.get(cause, -TELL_AGAIN_SECONDS) < TELL_AGAIN_SECONDS:
            return
        self._told = {each: at for each, at in self._told.items() if now - at < TELL_AGAIN_SECONDS}
        self._told[cause] = now
        _log.warning(
            "poll.failed",
            target=self._target,
            collector=collector,
            kind=kind,
            reason=reason,
            **({} if defect is None else {"exc_info": defect}),
        )

    def has(self, kind: str) -> bool:
        """Return whether a collector fails in that way now."""
        return kind in self._failing.values()

    def end(self, collector: str) -> None:
        """Note that a collector works; the last one to recover is worth a line."""
        kind = self._failing.pop(collector, None)
        if kind is not None and not self._failing:
            self._told.clear()
            _log.info("polls.recovered", target=self._target, after=kind)


def _cause(reason: str) -> str:
    """Return a reason without its route and its numbers: what is left tells causes apart."""
    route, _, rest = reason.partition(": ")
    return re.sub(r"\d+", "#", rest or route)


def _kind(error: ExporterError) -> str:
    if isinstance(error, ApiError):
        return error.kind
    return "waiting" if isinstance(error, Waiting) else "ledger"
