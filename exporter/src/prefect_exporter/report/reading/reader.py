"""Read all pieces, several at once, and write each portion with its cursor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus

import msgspec

from prefect_exporter.errors import ApiError, Malformed, Rejected, Throttled
from prefect_exporter.report.catalog import keep, load
from prefect_exporter.report.progress import Progress
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.reading.plan import PHASES
from prefect_exporter.report.reading.server import KEY
from prefect_exporter.report.reading.task_runs import sampled
from prefect_exporter.report.store import Store
from prefect_exporter.report.unread import add_unread

NOTES, REQUESTS = "notes", "requests"
MOST_PAUSES = 20
"""That one piece waits for; Prefect Cloud asks for a pause where a minute's requests are spent."""

_REFUSED = frozenset(
    {
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_ROWS_AND_TOTAL = """
    SELECT coalesce(sum(rows), 0),
        coalesce(sum(total) FILTER (WHERE step NOT LIKE 'count task_runs%'), 0)
        + min(?, coalesce(sum(total) FILTER (WHERE step LIKE 'count task_runs%'), 0))
    FROM steps
"""


async def read(source: Source, asked: Callable[[], int], progress: Progress) -> None:
    """Read what is not in the store yet.

    Args:
        source: From where and to where.
        asked: Returns how many requests were made by now.
        progress: Is told how far it is.

    Raises:
        ApiError: Prefect cannot be read; what was read stays in the store.
    """
    reader = _Reader(source, asked, progress)
    for phase in PHASES:
        pieces = iter(list(phase(source)))
        await reader.work(pieces)
    if note := sampled(source):
        add_note(source.store, note)


def notes(store: Store) -> tuple[str, ...]:
    """Return what a reader of the report has to know of the reading."""
    return tuple(json.loads(store.meta(NOTES) or "[]"))


def add_note(store: Store, text: str) -> None:
    """Add a note, once."""
    known = notes(store)
    if text not in known:
        store.set_meta(NOTES, json.dumps([*known, text]))


def requests(store: Store) -> int:
    """Return how many requests it took, those before a stop included."""
    return int(store.meta(REQUESTS) or 0)


class _Reader:
    def __init__(self, source: Source, asked: Callable[[], int], progress: Progress) -> None:
        self._source = source
        self._asked = asked
        self._before = requests(source.store)
        self._progress = progress

    async def work(self, pieces: Iterator[Piece]) -> None:
        """Read all of them, as many at once as is allowed."""
        hands = [self._take(pieces) for _ in range(self._source.limits.at_once)]
        tasks = [asyncio.ensure_future(each) for each in hands]
        try:
            await asyncio.gather(*tasks)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, pieces: Iterator[Piece]) -> None:
        for piece in pieces:
            try:
                await self._read(piece)
            except (Rejected, Malformed) as error:
                if piece.needed or not _refused(error):
                    raise
                self._refuse(piece, error)

    async def _read(self, piece: Piece) -> None:
        store, pauses = self._source.store, 0
        while not (step := store.step(piece.name)).done:
            if self._spent():
                self._leave(piece)
                return
            try:
                portion = await piece.read(step)
            except Throttled as error:
                pauses += 1
                if pauses > MOST_PAUSES:
                    raise
                self._progress.pause(error.retry_after)
                await asyncio.sleep(error.retry_after or 1)
                continue
            self._write(piece, portion)
            values = (self._source.limits.task_runs,)
            rows, total = store.database.execute(_ROWS_AND_TOTAL, values).fetchone()
            self._progress.tell(piece.what, rows, total)

    def _write(self, piece: Piece, portion: Portion) -> None:
        store = self._source.store
        with store.transaction():
            store.add(portion.rows)
            for row, key in portion.objects:
                keep(store, row, key)
            store.set_step(piece.name, portion.step)
            store.set_meta(REQUESTS, str(self._before + self._asked()))
            if portion.note:
                add_note(store, portion.note)

    def _spent(self) -> bool:
        most = self._source.limits.requests
        return most is not None and self._before + self._asked() >= most

    def _leave(self, piece: Piece) -> None:
        most = self._source.limits.requests
        text = f"Not all {piece.what} were read: the report was allowed {most:,} requests."
        with self._source.store.transaction():
            add_note(self._source.store, text)
            add_unread(self._source.store, piece.what)

    def _refuse(self, piece: Piece, error: ApiError) -> None:
        store = self._source.store
        with store.transaction():
            told = load(store).server
            refused = {**told.refused, error.route: error.reason}
            keep(store, msgspec.structs.replace(told, refused=refused), KEY)
            # Prefect has no such route on Cloud, and nobody misses it there.
            if piece.name != "admin/version":
                add_note(store, f"Prefect did not let us read {piece.what}: {error.reason}.")
                add_unread(store, piece.what)
            store.set_step(piece.name, replace(store.step(piece.name), done=True))


def _refused(error: ApiError) -> bool:
    return isinstance(error, Malformed) or (
        isinstance(error, Rejected) and error.status in _REFUSED
    )
