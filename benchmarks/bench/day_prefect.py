"""The simulated day as Prefect's API would give it: questions in, JSON out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from uuid import UUID

import msgspec

from bench import day_rows
from bench.day_rows import number_of
from bench.day_runs import (
    AHEAD,
    BEGIN_US,
    LATEST_US,
    POOLS,
    QUEUES,
    FlowRunEnd,
    Pace,
    Runs,
    first_after,
)
from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.moments import MINUTE, SECOND, micros

PAGE = 200
# How long after its end a row of a flow run, or its event, can be read.
_FLOW_RUN_LAG_US, _EVENT_LAG_US = SECOND // 20, SECOND // 4


class Question(msgspec.Struct, frozen=True, tag=True):
    """One request of the exporter.

    Args:
        route: The name of the ``Api`` method.
        now_us: What Prefect's clock says when it answers, in microseconds since 1970.
        where: Which runs; the order is the one that its only bound is asked for in.
        since: Which events: those since then.
    """

    route: str
    now_us: int = 0
    where: RunFilter = RunFilter()
    offset: int = 0
    limit: int = PAGE
    ids: Sequence[UUID] = ()
    since: datetime | None = None


class SimulatedPrefect:
    """Answers questions about the runs of a pace; keeps nothing but a few minutes of them."""

    def __init__(self, pace: Pace) -> None:
        self.runs = Runs(pace)
        self._catalog = _Catalog(pace)
        self._task_rows = lru_cache(maxsize=10)(self._task_rows_of)
        self._flow_rows = lru_cache(maxsize=10)(self._flow_rows_of)
        self._started = lru_cache(maxsize=10)(self._started_in)
        self._around = lru_cache(maxsize=4)(self._under_way_in)

    def answer(self, asked: Question) -> bytes:
        """Return the answer to a question as JSON; a page has ``rows`` and ``full``."""
        match asked.route:
            case "task_runs":
                return _page(asked, self._ended(asked, tasks=True))
            case "flow_runs":
                return _page(asked, self._flow_run_rows(asked))
            case "events":
                return _page(asked, self._events(asked))
            case "count_flow_runs" | "count_task_runs":
                return b"%d" % self._count(asked)
            case _:
                return self._catalog.answer(asked)

    def _flow_run_rows(self, asked: Question) -> Iterable[bytes]:
        where = asked.where
        if where.deployment_ids:
            return ()
        if where.ids:
            return (self._by_id(key, asked.now_us) for key in where.ids)
        if where.state_types:
            return self._under_way(asked)
        if where.ended is not None:
            return self._ended(asked, tasks=False)
        return self._starts(where.started, asked.now_us)

    def _by_id(self, key: UUID, now_us: int) -> bytes:
        minute, number = key.int >> 96, key.int >> 80 & 0xFFFF
        return day_rows.flow_run(self.runs.flow_runs(minute)[number], now_us)

    def _ended(self, asked: Question, *, tasks: bool) -> Iterator[bytes]:
        """Yield what has ended within an interval and has arrived, newest first."""
        low_us, high_us = _bounds(asked.where.ended, asked.now_us)
        rows = self._task_rows if tasks else self._flow_rows
        for minute in range(high_us // MINUTE, low_us // MINUTE - 1, -1):
            for end_us, visible_us, text in reversed(rows(minute)):
                if low_us <= end_us <= high_us and visible_us <= asked.now_us:
                    yield text

    def _task_rows_of(self, minute: int) -> Sequence[tuple[int, int, bytes]]:
        rows = self.runs.task_runs(minute)
        return [(row.end_us, row.visible_us, day_rows.task_run(row)) for row in rows]

    def _flow_rows_of(self, minute: int) -> Sequence[tuple[int, int, bytes]]:
        rows = self.runs.flow_runs(minute)
        return [
            (row.end_us, row.end_us + _FLOW_RUN_LAG_US, day_rows.flow_run(row, row.end_us))
            for row in rows
        ]

    def _starts(self, started: Interval | None, now_us: int) -> Iterator[bytes]:
        low_us, high_us = _bounds(started, now_us)
        for minute in range(high_us // MINUTE, low_us // MINUTE - 1, -1):
            for row in self._started(minute):
                if low_us <= row.start_us <= high_us:
                    yield day_rows.flow_run(row, now_us)

    def _started_in(self, minute: int) -> Sequence[FlowRunEnd]:
        """Return what starts in a minute, newest first."""
        ahead = (self.runs.flow_runs(minute + ahead) for ahead in range(AHEAD))
        rows = [row for rows in ahead for row in rows if row.start_us // MINUTE == minute]
        return sorted(rows, key=lambda row: row.start_us, reverse=True)

    def _under_way_in(self, minute: int) -> Sequence[FlowRunEnd]:
        """Return what is due before a minute ends and ends after it began, first due first."""
        until_us = (minute + 1) * MINUTE
        ahead = (self.runs.flow_runs(minute + ahead) for ahead in range(AHEAD))
        rows = [row for rows in ahead for row in rows if row.due_us < until_us]
        return sorted(rows, key=lambda row: row.due_us)

    def _under_way(self, asked: Question) -> Iterator[bytes]:
        """Yield what runs, or what is due and waits; no run waits for anything but its start."""
        now_us, where = asked.now_us, asked.where
        waiting = where.due is not None
        if not waiting and "RUNNING" not in where.state_types:
            return
        until_us = _bounds(where.due if waiting else where.started, now_us)[1]
        for row in self._around(now_us // MINUTE):
            if waiting:
                wanted = row.due_us <= until_us and now_us < row.start_us
            else:
                wanted = row.start_us <= until_us and now_us < row.end_us
            if wanted:
                yield day_rows.flow_run(row, now_us)

    def _events(self, asked: Question) -> Iterator[bytes]:
        since_us = BEGIN_US if asked.since is None else max(micros(asked.since), BEGIN_US)
        for minute in range(since_us // MINUTE, asked.now_us // MINUTE + 1):
            rows = self.runs.flow_runs(minute)
            for row in islice(rows, first_after(rows, since_us), None):
                if row.end_us + _EVENT_LAG_US <= asked.now_us:
                    yield day_rows.event(row)

    def _count(self, asked: Question) -> int:
        where, tasks = asked.where, asked.route == "count_task_runs"
        if where.ended is not None:
            return self._count_ended(asked, tasks=tasks)
        if tasks:
            under_way = "RUNNING" in where.state_types and where.of is None
            rows = self._around(asked.now_us // MINUTE) if under_way else ()
            return sum(_runs(row, asked.now_us) for row in rows)
        # What is still to come: the next run of each deployment.
        return self.runs.pace.deployments

    def _count_ended(self, asked: Question, *, tasks: bool) -> int:
        low_us, high_us = _bounds(asked.where.ended, asked.now_us)
        total = 0
        rows = self._task_rows if tasks else self._flow_rows
        for minute in range(low_us // MINUTE, high_us // MINUTE + 1):
            begin_us, end_us = minute * MINUTE, (minute + 1) * MINUTE - 1
            if low_us <= begin_us and end_us <= min(high_us, asked.now_us - LATEST_US - SECOND):
                total += self.runs.number(minute, tasks=tasks)
            else:
                total += sum(
                    low_us <= row[0] <= high_us and row[1] <= asked.now_us for row in rows(minute)
                )
        return total


class _Catalog:
    """What does not change during the day: flows, deployments, pools, queues."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        pools = [day_rows.work_pool(number) for number in range(POOLS)]
        queues = [day_rows.work_queue(number) for number in range(QUEUES)]
        workers = [{"name": f"worker-{number}", "status": "ONLINE"} for number in range(2)]
        self._fixed: dict[str, object] = {
            "work_pools": {"rows": pools, "full": False},
            "work_queues": {"rows": queues, "full": False},
            "workers": {"rows": workers, "full": False},
            "version": "3.8.8",
            "ready": True,
        }

    def answer(self, asked: Question) -> bytes:
        """Return what a route lists; what there is none of here is an empty page."""
        match asked.route:
            case "flows":
                found: object = [day_rows.flow(number_of(key)) for key in asked.ids]
            case "deployments":
                found = [day_rows.deployment(number_of(key)) for key in asked.ids]
            case "deployment_page":
                stop = min(asked.offset + asked.limit, self._pace.deployments)
                rows = [day_rows.deployment(number) for number in range(asked.offset, stop)]
                found = {"rows": rows, "full": len(rows) == asked.limit}
            case route:
                found = self._fixed.get(route, {"rows": [], "full": False})
        return msgspec.json.encode(found)


def _page(asked: Question, rows: Iterable[bytes]) -> bytes:
    page = [*islice(rows, asked.offset, asked.offset + asked.limit)]
    full = b"true" if len(page) == asked.limit else b"false"
    return b'{"rows":[%b],"full":%b}' % (b",".join(page), full)


def _bounds(interval: Interval | None, now_us: int) -> tuple[int, int]:
    after = interval.after if interval else None
    before = interval.before if interval else None
    low_us = BEGIN_US if after is None else max(micros(after), BEGIN_US)
    return low_us, now_us if before is None else min(micros(before), now_us)


def _runs(row: FlowRunEnd, now_us: int) -> bool:
    return row.start_us <= now_us < row.end_us
