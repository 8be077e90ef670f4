"""The tracebacks of failures, from the logs in Prefect's API, within a budget of requests.

Not of every failure: of those that look alike (``signatures.Key``) only a few are read.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from prefect_exporter.api import Api
from prefect_exporter.failures.model import Failed
from prefect_exporter.failures.signatures import SAMPLES, Key, key, signature
from prefect_exporter.failures.tracebacks import HEADER
from prefect_exporter.wire import ToldLog

RUNS_A_REQUEST = 50
PAGES_A_BATCH = 4
"""Pages of lines that are read of one batch of runs: a run may log more errors than its own."""

MANY = 20
"""From so many runs of one key on four times as many are read: a rare one may hide among them."""

MOST_SAMPLES = 400
"""Of how many runs of one key the traceback is read where the first ones do not agree."""

MOST_KEYS = 20_000

# Prefect's own line of a flow run; what a user logs with a traceback is another matter.
_LOGGER = "prefect.flow_runs"
_LINE = "Encountered exception during execution:"


class Line(NamedTuple):
    """An error in a flow run's log; *of_task* where one of its task runs logged it."""

    logger: str
    of_task: bool
    message: str


@dataclass(frozen=True, slots=True)
class Read:
    """What was read.

    Args:
        texts: Tracebacks by the run's id, "" for a run that has none.
        requests: How many it took.
        wanted: Of how many runs it should have been read.
    """

    texts: Mapping[bytes, str] = field(default_factory=dict)
    requests: int = 0
    wanted: int = 0

    @property
    def complete(self) -> bool:
        """Whether the budget was enough."""
        return len(self.texts) >= self.wanted


@dataclass(slots=True)
class _Sampled:
    """A few runs of one key, whatever the order in which they come: (when it ended, its id)."""

    newest: tuple[int, bytes]
    oldest: tuple[int, bytes]
    others: list[tuple[bytes, int]] = field(default_factory=list)
    count: int = 0

    def add(self, run: tuple[int, bytes], number: int) -> None:
        """Take a run into account; *number* of the others are kept, by the ends of their ids."""
        self.count += 1
        self.newest = max(self.newest, run)
        self.oldest = min(self.oldest, run)
        # The end of an id is random, its beginning may be a time.
        insort(self.others, (run[1][::-1], run[0]))
        del self.others[number:]

    def runs(self, number: int) -> list[bytes]:
        """Return the newest run, the oldest, then others."""
        number *= 4 if self.count >= MANY else 1
        others = (reversed_id[::-1] for reversed_id, _ in self.others)
        return list(dict.fromkeys([self.newest[1], self.oldest[1], *others]))[:number]


def chosen(failures: Iterable[Failed], per_key: int = SAMPLES) -> list[bytes]:
    """Return the ids of the runs whose tracebacks are to be read, those of the newest keys first.

    Of each key the newest run, the oldest one, and some others: a choice that does not depend on
    the order in which failures come, and holds no more than it returns.
    """
    keys: dict[Key, _Sampled] = {}
    for failed in failures:
        found, run = key(failed), (failed.ended_us, failed.run_id)
        if found in keys or len(keys) < MOST_KEYS:
            keys.setdefault(found, _Sampled(run, run)).add(run, 4 * per_key)
    samples = sorted(keys.values(), key=lambda each: each.newest, reverse=True)
    runs = [each.runs(per_key) for each in samples]
    # The first of every key comes before the second of any: a budget may end in between.
    return [each[place] for place in range(4 * per_key) for each in runs if place < len(each)]


def traceback_of(lines: Iterable[Line]) -> str | None:
    """Return the traceback that ended a flow run, of its errors, the newest first."""
    for line in lines:
        if (
            line.logger == _LOGGER
            and not line.of_task
            and line.message.startswith(_LINE)
            and HEADER in line.message
        ):
            return line.message
    return None


async def tracebacks(api: Api, failures: Sequence[Failed], *, most_requests: int) -> Read:
    """Read the tracebacks of a few failures of each key, and of more where those do not agree.

    Raises:
        ApiError: Prefect gave no answer.
    """
    # Thousands of messages take a second, and nothing else would be served meanwhile.
    runs = await asyncio.to_thread(chosen, failures)
    first = await read(api, runs, most_requests=most_requests)
    more = await asyncio.to_thread(split, failures, first.texts)
    then = await read(api, more, most_requests=most_requests - first.requests)
    return Read(
        {**first.texts, **then.texts},
        first.requests + then.requests,
        first.wanted + then.wanted,
    )


def split(failures: Sequence[Failed], texts: Mapping[bytes, str]) -> list[bytes]:
    """Return which runs to read too: of the keys of which two that were read are not the same.

    Args:
        failures: Those of which ``chosen`` were read.
        texts: The tracebacks of these by the run's id, "" for a run that has none.
    """
    ids: dict[Key, set[str]] = {}
    for failed in failures:
        if (text := texts.get(failed.run_id)) is not None:
            ids.setdefault(key(failed), set()).add(signature(failed, text or None).id)
    unlike = {found for found, different in ids.items() if len(different) > 1}
    of_them = (failed for failed in failures if key(failed) in unlike)
    return [run for run in chosen(of_them, MOST_SAMPLES // 4) if run not in texts]


async def read(api: Api, runs: Sequence[bytes], *, most_requests: int) -> Read:
    """Read the tracebacks of these runs.

    Raises:
        ApiError: Prefect gave no answer.
    """
    texts: dict[bytes, str] = {}
    requests = 0
    for batch in _batches(runs):
        if requests >= most_requests:
            break
        lines, asked, whole = await _lines(api, batch, most_requests - requests)
        requests += asked
        for run in batch:
            found = traceback_of(lines.get(run, ()))
            if found is not None or whole:
                texts[run] = found or ""
    return Read(texts, requests, len(runs))


async def _lines(
    api: Api, runs: Sequence[bytes], most_requests: int
) -> tuple[Mapping[bytes, Sequence[Line]], int, bool]:
    """Return the errors of runs, how many requests that took, and whether they are all."""
    found: dict[bytes, list[Line]] = {}
    ids = [UUID(bytes=run) for run in runs]
    offset = asked = 0
    while True:
        page = await api.logs(ids, offset=offset)
        asked, offset = asked + 1, offset + len(page.rows)
        for row in page.rows:
            if row.flow_run_id is not None:
                found.setdefault(row.flow_run_id.bytes, []).append(_line(row))
        if not page.full or asked >= min(most_requests, PAGES_A_BATCH):
            return found, asked, not page.full


def _line(row: ToldLog) -> Line:
    return Line(row.name, row.task_run_id is not None, row.message)


def _batches(runs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    rest = iter(runs)
    while batch := list(islice(rest, RUNS_A_REQUEST)):
        yield batch
