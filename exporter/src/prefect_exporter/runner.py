"""One collector of one target at work: its last good state, and how its last poll went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Generic

import structlog

from prefect_exporter.collectors.base import Collector, Context, StateT
from prefect_exporter.errors import ApiError, LedgerDamaged, LedgerError
from prefect_exporter.moments import SECOND, moment, seconds
from prefect_exporter.status import CollectorStatus

_log = structlog.get_logger(__name__)


class Runner(Generic[StateT]):
    """Poll one collector, and keep what it last learnt; one failure stays its own."""

    def __init__(self, collector: Collector[StateT], context: Context) -> None:
        self.collector = collector
        self._context = context
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
        """Whether the last good poll is younger than the stale limit."""
        if self._success_us is None:
            return False
        age_us = self._context.now_us() - self._success_us
        return age_us < self._context.settings.stale_after_seconds * SECOND

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
            took = seconds(self._context.now_us() - began_us)
            await asyncio.sleep(max(self.collector.interval_seconds - max(took, 0.0), 0.5))

    async def tick(self) -> None:
        """Poll once; keep the last good state where that fails."""
        began_us = self._context.now_us()
        try:
            self._state = await self.collector.poll(self._context, self._state)
        except LedgerDamaged:
            raise
        except (ApiError, LedgerError) as error:
            kind = error.kind if isinstance(error, ApiError) else "ledger"
            self._failed(kind, str(error))
        except Exception as error:  # noqa: BLE001  # a defect must not take the others along
            _log.exception("poll.broke", target=self.target, collector=self.collector.name)
            self._failed(
                "internal", f"a defect of the exporter: {type(error).__name__}; see its log"
            )
        else:
            self._worked()
        self._seconds = max(seconds(self._context.now_us() - began_us), 0.0)

    def _worked(self) -> None:
        if self._succeeded is False:
            _log.info("poll.recovered", target=self.target, collector=self.collector.name)
        self._succeeded = True
        self._failure = None
        self._success_us = self._context.now_us()
        self.polls["success"] += 1

    def _failed(self, kind: str, reason: str) -> None:
        # One line when it starts or changes; an outage must not fill the log.
        if self._failure is None or self._failure[0] != kind:
            _log.warning(
                "poll.failed",
                target=self.target,
                collector=self.collector.name,
                kind=kind,
                reason=reason,
            )
        self._succeeded = False
        self._failure = (kind, reason)
        self.polls["failure"] += 1
