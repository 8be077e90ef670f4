"""The exporter's questions, put to the process that simulates Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from logging import ERROR
from typing import IO, Any, TypeVar
from uuid import UUID

import msgspec

from bench.day_clock import Clock
from bench.day_prefect import PAGE, Question
from prefect_exporter.api import EventFilter, Page, RunFilter
from prefect_exporter.feeds.events import PREFIX
from prefect_exporter.moments import SECOND
from prefect_exporter.queries import EVENT_PAGE
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Event,
    Flow,
    FlowRun,
    FlowRunRecord,
    StateRecord,
    TagLimit,
    TaskRun,
    ToldLog,
    Worker,
    WorkPool,
    WorkQueue,
)

AnswerT = TypeVar("AnswerT")

# Seconds that a Prefect server on PostgreSQL takes: a page of 200 rows, a page of 50 events, each
# deployment of a page, and anything else, counts of a day among it.
_PAGE_SECONDS, _EVENTS_SECONDS, _DEPLOYMENT_SECONDS, _OTHER_SECONDS = 0.1, 0.03, 0.02, 0.03
_SLOW = {
    "flow_runs": _PAGE_SECONDS,
    "task_runs": _PAGE_SECONDS,
    "events": _EVENTS_SECONDS,
    "deployment_page": 25 * _DEPLOYMENT_SECONDS,
}


def answer_seconds(route: str) -> float:
    """Return how long a Prefect server on PostgreSQL takes to answer."""
    return _SLOW.get(route, _OTHER_SECONDS)


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write a message and its length."""
    pipe.write(len(message).to_bytes(4, "big") + message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """Read one message; an end of file is an empty one."""
    return pipe.read(int.from_bytes(pipe.read(4), "big"))


class SimulatedApi:
    """An ``Api`` whose answers come over a pipe, after as long as a real server takes.

    Args:
        questions: Where questions go.
        answers: Where answers come from.
        clock: Waits for answers on it; writing and reading the pipe takes none of its time.
        begin_us: Prefect's time when the clock stood at 0.
    """

    def __init__(
        self, questions: IO[bytes], answers: IO[bytes], clock: Clock, begin_us: int
    ) -> None:
        self._questions, self._answers = questions, answers
        self._clock, self._begin_us = clock, begin_us
        self._decoders: dict[object, msgspec.json.Decoder[Any]] = {}
        self.requests = 0

    def now_us(self) -> int:
        """Return the simulated time in microseconds since 1970."""
        return self._begin_us + int(self._clock.seconds() * SECOND)

    async def _ask(self, shape: type[AnswerT], question: Question) -> AnswerT:
        self.requests += 1
        await asyncio.sleep(answer_seconds(question.route))
        message = msgspec.json.encode(msgspec.structs.replace(question, now_us=self.now_us()))
        with self._clock.standing_still():
            answer = self._answer_to(message)
        if shape not in self._decoders:
            self._decoders[shape] = msgspec.json.Decoder(shape)
        decoded: AnswerT = self._decoders[shape].decode(answer)
        return decoded

    def _answer_to(self, message: bytes) -> bytes:
        try:
            send(self._questions, message)
        except BrokenPipeError:
            raise SystemExit(1) from None
        if not (answer := receive(self._answers)):
            # Whoever wanted the simulation is gone; here as above.
            raise SystemExit(1)
        return answer

    async def flow_runs(
        self, where: RunFilter, sort: str, offset: int = 0, limit: int | None = None
    ) -> Page[FlowRun]:
        """Return one page."""
        question = Question("flow_runs", where=where, offset=offset, limit=limit or PAGE)
        return await self._ask(Page[FlowRun], question)

    async def flow_run_records(
        self, where: RunFilter, sort: str, offset: int = 0
    ) -> Page[FlowRunRecord]:
        """Return none; the day groups no failures."""
        return Page([], full=False)

    async def logs(
        self, run_ids: Sequence[UUID], *, level: int = ERROR, offset: int = 0
    ) -> Page[ToldLog]:
        """Return none, as above."""
        return Page([], full=False)

    async def flow_run(self, run_id: UUID) -> FlowRunRecord | None:
        """Return that there is none; the day makes no spans."""
        return None

    async def flow_run_states(self, run_id: UUID) -> Sequence[StateRecord]:
        """Return none, as above."""
        return []

    async def task_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[TaskRun]:
        """Return one page."""
        return await self._ask(Page[TaskRun], Question("task_runs", where=where, offset=offset))

    async def count_flow_runs(self, where: RunFilter) -> int:
        """Return a count."""
        return await self._ask(int, Question("count_flow_runs", where=where))

    async def count_task_runs(self, where: RunFilter) -> int:
        """Return a count."""
        return await self._ask(int, Question("count_task_runs", where=where))

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page; there are ends of flow runs, and no other events."""
        if where.prefix != PREFIX:
            return await self._ask(Page[Event], Question("other_events"))
        question = Question("events", since=where.occurred.after, limit=EVENT_PAGE)
        return await self._ask(Page[Event], question)

    async def more_events(self, token: str) -> Page[Event]:
        """Return nothing: no answer has a token."""
        return await self._ask(Page[Event], Question("other_events"))

    async def count_events(self, where: EventFilter) -> Mapping[str, int]:
        """Return no names."""
        await self._ask(Page[Event], Question("other_events"))
        return {}

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return flows."""
        return await self._ask(list[Flow], Question("flows", ids=tuple(ids)))

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return deployments."""
        return await self._ask(list[Deployment], Question("deployments", ids=tuple(ids)))

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return deployments by name."""
        question = Question("deployment_page", offset=offset, limit=limit)
        return await self._ask(Page[Deployment], question)

    async def work_pools(self, offset: int = 0) -> Page[WorkPool]:
        """Return all work pools."""
        return await self._ask(Page[WorkPool], Question("work_pools"))

    async def workers(self, pool: str, offset: int = 0) -> Page[Worker]:
        """Return the pool's workers."""
        return await self._ask(Page[Worker], Question("workers"))

    async def work_queues(self, offset: int = 0) -> Page[WorkQueue]:
        """Return all work queues."""
        return await self._ask(Page[WorkQueue], Question("work_queues"))

    async def concurrency_limits(self, offset: int = 0) -> Page[ConcurrencyLimit]:
        """Return that there are none."""
        return await self._ask(Page[ConcurrencyLimit], Question("concurrency_limits"))

    async def tag_limits(self, offset: int = 0) -> Page[TagLimit]:
        """Return that there are none."""
        return await self._ask(Page[TagLimit], Question("tag_limits"))

    async def tag_limit(self, tag: str) -> TagLimit:
        """Return a limit that nobody holds; no list has named it."""
        return TagLimit(tag, 1)

    async def automations(self, offset: int = 0) -> Page[Automation]:
        """Return that there are none."""
        return await self._ask(Page[Automation], Question("automations"))

    async def version(self) -> str:
        """Return a version."""
        return await self._ask(str, Question("version"))

    async def ready(self) -> bool:
        """Return that the database is reached."""
        return await self._ask(bool, Question("ready"))
