"""What can go wrong, as one small tree whose members carry facts; `errors.toml` says whose it is.

EtlError
├── BadSetting            a variable of the environment       name, problem
├── BadClient             a name that no client can have      name
├── SourceUnavailable     Redis gave no usable answer         doing; the cause is redis-py's
├── SourceLostRows        planned rows are gone from Redis    client, lost: rows by chunk
├── SourceWentBack        rows below the cursor, never read   client, cursor, rows, first, last
├── DestinationFull       no space, or no quota, left         folder, free_bytes
├── PlanDamaged           a plan's file is not a plan         path, problem
└── TooManyRejected       the good rows are committed         client, rejected, rows, limit
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SHOWN = 5


class EtlError(Exception):
    """Anything that this pipeline expects to go wrong.

    The arguments are the facts, as they are, so that it survives a trip to another process.
    """


class BadSetting(EtlError):
    """A setting cannot be used; the message never shows the value of a secret one."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


class BadClient(EtlError):
    """Names of clients become folders and keys, so only plain ones are taken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"{self.name[:80]!r} cannot be a client: give lower-case letters, digits, - and _, "
            "63 at most, the first a letter or digit"
        )


class SourceUnavailable(EtlError):
    """Redis did not answer, or not with what was asked for; trying again may help."""

    def __init__(self, doing: str) -> None:
        super().__init__(doing)
        self.doing = doing

    def __str__(self) -> str:
        return f"Redis gave no usable answer to: {self.doing}"


class SourceLostRows(EtlError):
    """Rows that were planned are not in Redis any more; trying again only helps if they return.

    Args:
        client: Whose stream it is.
        lost: How many rows of which chunk, by the chunk's name, `{first id}-{last id}`.
        given_up: Whether the chunks were committed without them.
    """

    def __init__(
        self,
        client: str,
        lost: Mapping[str, int],
        given_up: bool = False,  # noqa: FBT001, FBT002 - an exception's facts are its arguments
    ) -> None:
        super().__init__(client, dict(lost), given_up)
        self.client = client
        self.lost = dict(lost)
        self.given_up = given_up

    def __str__(self) -> str:
        shown = [f"{rows} in {name}" for name, rows in list(self.lost.items())[:_SHOWN]]
        if len(self.lost) > _SHOWN:
            shown.append(f"the rest in {len(self.lost) - _SHOWN} more chunks")
        after = (
            "the batch was loaded without them"
            if self.given_up
            else "put them back before the next run, which goes on without them"
        )
        return (
            f"{self.client}: Redis has lost {sum(self.lost.values())} planned rows: "
            f"{', '.join(shown)}; {after}"
        )


class SourceWentBack(EtlError):
    """The stream began anew and has rows below the cursor that nobody has read.

    A Redis that lost its data gives ids by its clock: only a clock that was set back leads here.
    """

    def __init__(self, client: str, cursor: str, rows: int, first: str, last: str) -> None:
        super().__init__(client, cursor, rows, first, last)
        self.client = client
        self.cursor = cursor
        self.rows = rows
        self.first = first
        self.last = last

    def __str__(self) -> str:
        return (
            f"{self.client}: {self.rows} rows from {self.first} to {self.last} were never read, "
            f"but all up to {self.cursor} counts as loaded; was the clock of Redis set back? "
            "XADD them again, and XDEL these"
        )


class DestinationFull(EtlError):
    """There is no space left; what was half written is removed again."""

    def __init__(self, folder: Path, free_bytes: int) -> None:
        super().__init__(folder, free_bytes)
        self.folder = folder
        self.free_bytes = free_bytes

    def __str__(self) -> str:
        return f"no space left: {self.folder} has {self.free_bytes} bytes free; make room"


class PlanDamaged(EtlError):
    """A plan cannot be read: nothing is loaded until somebody has looked at it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path} is not a plan: {self.problem}; restore it from a backup"


class TooManyRejected(EtlError):
    """More rows were rejected than is normal; the good ones are committed all the same.

    Args:
        client: Whose rows they are.
        rejected: How many of them were rejected.
        rows: How many were read.
        limit: The share that is normal, 0 to 1.
    """

    def __init__(self, client: str, rejected: int, rows: int, limit: float) -> None:
        super().__init__(client, rejected, rows, limit)
        self.client = client
        self.rejected = rejected
        self.rows = rows
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.client}: {self.rejected} of {self.rows} rows were rejected, more than "
            f"{self.limit:.0%}; see the dead letters"
        )
