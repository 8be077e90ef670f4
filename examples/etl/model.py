"""What passes between the steps: small frozen values, and paths in place of data."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from etl.errors import BadClient

_ROW_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
_CLIENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_MOST = 2**64 - 1


def checked_client(name: str) -> str:
    """Return *name*; raise `BadClient` where it could not be a folder and part of a Redis key."""
    if not _CLIENT.fullmatch(name):
        raise BadClient(name)
    return name


@dataclass(frozen=True, slots=True, order=True)
class RowId:
    """The id of a stream's entry, which is the row's identity wherever it goes."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1700000000000-0`; raise ``ValueError`` for anything else."""
        found = _ROW_ID.fullmatch(text)
        if found is None or max(numbers := (int(found[1]), int(found[2]))) > _MOST:
            raise ValueError(f"{text[:50]!r} is not the id of a stream's entry")
        return cls(*numbers)

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


BEGINNING = RowId(0, 0)


class Reason(StrEnum):
    """Why a row was rejected. Where several hold, the first one in this order is given."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    BAD_AMOUNT = "bad_amount"
    BAD_CURRENCY = "bad_currency"
    BAD_TIME = "bad_time"
    UNKNOWN_STATUS = "unknown_status"


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much one chunk may hold: rows, and bytes of rows as they are in Redis."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of the stream that is read, validated and committed as one; both ends belong to it.

    Args:
        rows: How many rows the range had when it was planned.
        bytes: What they took up in Redis.
    """

    first: RowId
    last: RowId
    rows: int
    bytes: int

    @property
    def name(self) -> str:
        """What its files and its lease are called: `{first}-{last}`."""
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which ranges of a client's stream a batch consists of. Once written it never changes.

    Args:
        number: 1 for a client's first plan; the next plan has the next number.
        after: The end of the plan before, which is not part of this one.
        made: When it was made; what is "in the future" is measured by it, whoever validates.
        added: How many rows the stream had ever been given: fewer later mean that it began anew.
    """

    number: int
    client: str
    after: RowId
    made: datetime
    added: int
    chunks: tuple[Chunk, ...]

    @property
    def end(self) -> RowId:
        """The last row that belongs to it: the cursor of what comes next."""
        return self.chunks[-1].last

    @property
    def rows(self) -> int:
        """How many rows were planned."""
        return sum(chunk.rows for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Extracted:
    """The raw rows of one chunk as files on the destination.

    Args:
        name: What they are the rows of: `Chunk.name`, or the name of a replay.
        folder: Holds `page-*.parquet` with the columns of `etl.spool.RAW`.
        lost: Rows that were planned, and are not in Redis any more.
    """

    name: str
    folder: Path
    rows: int
    bytes: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Validated:
    """The same rows, sorted into good ones and rejected ones, as files.

    Args:
        folder: Holds `accepted-*.parquet` and `rejected-*.parquet`.
        accepted: Good rows, so far.
        rejected: Rejected rows, so far.
    """

    name: str
    folder: Path
    accepted: int
    rejected: int
    bytes: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """One committed file of a client, with what became of its rows.

    Args:
        bytes: The size of the file.
        new: Whether this call committed it; False where it had been there.
    """

    path: Path
    accepted: int
    rejected: int
    lost: int
    bytes: int
    new: bool


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of a plan, read from what is committed; equal for all workers that shared it.

    Args:
        rows: Rows planned; always ``accepted + rejected + lost`` once all chunks are committed.
        bytes: The size of the committed parts.
    """

    client: str
    plan: int
    chunks: int
    rows: int
    accepted: int
    rejected: int
    lost: int
    bytes: int

    @property
    def rejected_share(self) -> float:
        """Which share of the rows that were read was rejected, 0 to 1."""
        return self.rejected / max(1, self.accepted + self.rejected)

    def as_dict(self) -> dict[str, Any]:
        """Return it as what a flow returns: plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Letter:
    """A rejected row on the way to whoever corrects it.

    Args:
        order: The row as it was in the stream, cut at `etl.spool.MAX_ROW_BYTES`; bytes that are
            not UTF-8 stand as backslash escapes.
        field: The field that the reason is about; empty for the whole row.
        seen: When its batch was planned, as RFC 3339.
    """

    row_id: RowId
    order: str
    reason: Reason
    field: str
    seen: str
