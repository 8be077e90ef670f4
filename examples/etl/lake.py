"""Where a client's files are on the destination, and what is committed there.

```
{destination}/{client}/_plans/000001.json            what a batch consists of
                       part-{first}-{last}.parquet   good rows of one chunk; commits all of it
                       rejected/part-...parquet      its rejected rows; their letters are written
                       rejected/.part-....{token}    the same, before that; the part has the token
                       replayed/000001.parquet       good rows that were dead letters
                       _spool/                       rows on their way, removed after the commit
                       _tmp/                         files that are being written
```
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etl.model import RowId, checked_client


@dataclass(frozen=True, slots=True)
class Lake:
    """One client's folder on the destination.

    Raises:
        BadClient: The name would not be a folder below the destination.
    """

    destination: Path
    client: str

    def __post_init__(self) -> None:
        checked_client(self.client)

    @property
    def folder(self) -> Path:
        """What belongs to the client, and to no other."""
        return self.destination / self.client

    @property
    def plans(self) -> Path:
        """Plans, by their numbers."""
        return self.folder / "_plans"

    @property
    def rejected(self) -> Path:
        """Rejected rows, by chunk."""
        return self.folder / "rejected"

    @property
    def replayed(self) -> Path:
        """Rows that came back from the dead letters, in the order in which they did."""
        return self.folder / "replayed"

    @property
    def spool(self) -> Path:
        """Rows on their way."""
        return self.folder / "_spool"

    @property
    def tmp(self) -> Path:
        """Files that are being written."""
        return self.folder / "_tmp"

    def part(self, name: str) -> Path:
        """Return where the good rows of the chunk of that name are, once it is committed."""
        return self.folder / f"part-{name}.parquet"

    def parts(self) -> list[Path]:
        """Return what is committed, in the order of the stream."""
        return sorted(self.folder.glob("part-*.parquet"), key=_first_row)

    def rejected_part(self, name: str) -> Path:
        """Return where the rejected rows of that chunk are, once their letters are written."""
        return self.rejected / f"part-{name}.parquet"

    def unsettled(self, name: str, token: str) -> Path:
        """Return where they are before that; no reader of `*.parquet` in the folder sees it."""
        return self.rejected / f".part-{name}.{token}"


def _first_row(part: Path) -> RowId:
    milliseconds, sequence = part.name.removeprefix("part-").split("-")[:2]
    return RowId(int(milliseconds), int(sequence))
