"""The orders of one client in Redis, read in pages that are bounded in rows and in bytes.

Redis itself measures and cuts: what it sends is bounded however large a row is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from etl.errors import SourceUnavailable
from etl.model import BEGINNING, Chunk, ChunkLimits, RowId, checked_client

MAX_ROW_BYTES = 65_536
"""What is kept of a row; a larger one is rejected as too large."""

PAGE = ChunkLimits(rows=2_000, bytes=2 * 2**20)
"""What one answer holds at most; Redis serves nobody else while it makes one: milliseconds."""

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 10.0

# Few entries at a time, as large ones are in Redis' memory twice meanwhile. An entry without the
# field is its fields, line by line, which is no JSON.
_ROWS = """
local function order_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'order' then return fields[i + 1] end
  end
  return table.concat(fields, '\\n')
end

local after, upto = ARGV[1], ARGV[2]
local most_rows, most_bytes, keep = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rows, bytes, full = {}, 0, false
while #rows < most_rows and not full do
  local count = math.min(50, most_rows - #rows)
  local entries = redis.call('XRANGE', KEYS[1], after, upto, 'COUNT', count)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local order = order_of(entry[2])
    local kept = math.min(#order, keep)
    full = #rows > 0 and bytes + kept > most_bytes
    if full then break end
    bytes = bytes + kept
    rows[#rows + 1] = {entry[1], #order, string.sub(order, 1, keep)}
    after = '(' .. entry[1]
  end
end
"""
_READ = _ROWS + "return rows"
_MEASURE = (
    _ROWS + "if #rows == 0 then return {} end return {rows[1][1], rows[#rows][1], #rows, bytes}"
)
_IDS = _ROWS + "local ids = {} for i, row in ipairs(rows) do ids[i] = row[1] end return ids"
_ABOUT = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local told, info = {}, redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do told[info[i]] = info[i + 1] end
return {told['length'], told['entries-added'] or told['length'], told['last-generated-id']}
"""


def connect(url: SecretStr) -> Redis:
    """Return a client that gives up in seconds; whoever calls decides on trying again."""
    return Redis.from_url(
        url.get_secret_value(),
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turn what redis-py raises into `SourceUnavailable` that says what was asked for."""
    try:
        yield
    except RedisError as error:
        raise SourceUnavailable(doing) from error


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the stream.

    Args:
        size: Bytes of the whole order.
        raw: Its first `MAX_ROW_BYTES` bytes.
    """

    row_id: RowId
    size: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class About:
    """A stream as a whole; all zero where there is none.

    Args:
        length: How many rows are in it.
        added: How many it was ever given; fewer than before where it began anew.
        newest: The last id that was given.
    """

    length: int
    added: int
    newest: RowId


class Source:
    """The stream `orders:{client}`.

    Raises:
        BadClient: No client has that name.
        SourceUnavailable: Redis did not answer; raised by every method.
    """

    def __init__(self, redis: Redis, client: str) -> None:
        self.redis = redis
        self.client = client
        self.key = f"orders:{checked_client(client)}"
        self._read = redis.register_script(_READ)
        self._measure = redis.register_script(_MEASURE)
        self._ids = redis.register_script(_IDS)
        self._about = redis.register_script(_ABOUT)

    def about(self) -> About:
        """Return how much is in the stream, without reading any row."""
        with asking(f"XINFO STREAM {self.key}"):
            told = self._about(keys=[self.key])
        if not told:
            return About(0, 0, BEGINNING)
        return About(int(told[0]), int(told[1]), RowId.parse(told[2].decode()))

    def newest(self) -> RowId | None:
        """Return the last id that was given, or None for an empty stream."""
        about = self.about()
        return about.newest if about.length else None

    def measure(self, after: RowId, upto: RowId | None, limits: ChunkLimits) -> Chunk | None:
        """Return the range of the next rows within *limits*, one row at least; None if no more.

        The rows stay in Redis. Only *upto* itself and what is before it counts.
        """
        with asking(f"XRANGE {self.key}"):
            found = self._measure(keys=[self.key], args=_args(f"({after}", upto, limits))
        if not found:
            return None
        first, last = (RowId.parse(each.decode()) for each in found[:2])
        return Chunk(first, last, rows=int(found[2]), bytes=int(found[3]))

    def pages(self, chunk: Chunk) -> Iterator[tuple[Row, ...]]:
        """Yield what Redis has of *chunk*, page by page, in the order of the stream."""
        start = str(chunk.first)
        while page := self._page(start, chunk.last):
            yield page
            start = f"({page[-1].row_id}"

    def ids(self, upto: RowId) -> Iterator[tuple[str, ...]]:
        """Yield the ids up to *upto*, which belongs to them, page by page."""
        start = "-"
        while page := self._page_of_ids(start, upto):
            yield page
            start = f"({page[-1]}"

    def _page(self, start: str, upto: RowId) -> tuple[Row, ...]:
        with asking(f"XRANGE {self.key}"):
            found = self._read(keys=[self.key], args=_args(start, upto, PAGE))
        return tuple(Row(RowId.parse(row_id.decode()), size, raw) for row_id, size, raw in found)

    def _page_of_ids(self, start: str, upto: RowId) -> tuple[str, ...]:
        with asking(f"XRANGE {self.key}"):
            found = self._ids(keys=[self.key], args=_args(start, upto, PAGE))
        return tuple(row_id.decode() for row_id in found)


def _args(start: str, upto: RowId | None, limits: ChunkLimits) -> list[str | int]:
    return [start, str(upto) if upto else "+", limits.rows, limits.bytes, MAX_ROW_BYTES]
