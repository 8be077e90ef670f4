"""How the jobs went, on disk: for metrics over restarts, and for what is due."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from backup.errors import RepositoryDamaged
from backup.files import read_json, write_whole
from backup.model import Job, Kind, Outcome
from backup.programs import Terminated

_RESERVE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one job with one kind of one target.

    Args:
        target: The label.
        last: The last time.
        success: The last time that it succeeded.
        result: The last time that it found out what it was to find out.
        results: How often it did.
        made: The last time that it made a snapshot.
        errors: How often it failed, by reason.
    """

    target: str
    last: Outcome
    success: Outcome | None = None
    result: Outcome | None = None
    results: int = 0
    made: Outcome | None = None
    errors: Mapping[str, int] = field(default_factory=dict)

    def then(self, outcome: Outcome) -> Record:
        """Return this with one more outcome."""
        known = _is_result(outcome)
        errors = dict(self.errors)
        if outcome.error is not None:
            errors[outcome.error] = errors.get(outcome.error, 0) + 1
        return replace(
            self,
            last=outcome,
            success=outcome if outcome.error is None else self.success,
            result=outcome if known else self.result,
            results=self.results + known,
            made=outcome if outcome.size_bytes is not None else self.made,
            errors=errors,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is remembered.

    Args:
        records: One for each job that was ever done.
        sizes: Bytes of each repository: ``main`` and ``keys``.
    """

    records: tuple[Record, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    def record(self, target: str, kind: Kind, job: Job) -> Record | None:
        """Return what is known of one job; None where it was never done."""
        found = (each for each in self.records if _key(each) == (target, kind, job))
        return next(found, None)

    def then(self, target: str, outcome: Outcome) -> State:
        """Return this with one more outcome."""
        known = self.record(target, outcome.kind, outcome.job)
        others = tuple(each for each in self.records if each is not known)
        new = (known or Record(target=target, last=outcome)).then(outcome)
        return replace(self, records=(*others, new))


class Store:
    """The state's file, and room for it: a full disk must not keep it from being told.

    Args:
        folder: Where it is; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "state.json"
        self._reserve = folder / "reserve"

    def read(self) -> State:
        """Return the state; a new one where it cannot be read, which the log tells."""
        return read_json(self._file, _STATE) or State()

    def record(self, target: str, outcome: Outcome) -> None:
        """Add an outcome.

        Raises:
            OSError: It cannot be written; what was there stays.
        """
        with self._changing() as state:
            self._write(state.then(target, outcome))

    def measure(self, repository: str, size_bytes: int) -> None:
        """Note the size of a repository.

        Raises:
            OSError: As in `record`.
        """
        with self._changing() as state:
            self._write(replace(state, sizes={**state.sizes, repository: size_bytes}))

    @contextmanager
    def _changing(self) -> Iterator[State]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "state.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self.read()

    def _write(self, state: State) -> None:
        text = _STATE.dump_json(state, indent=1).decode()
        try:
            write_whole(self._file, text)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._reserve.unlink(missing_ok=True)
            write_whole(self._file, text)
        with suppress(OSError):
            if not self._reserve.exists():
                write_whole(self._reserve, " " * _RESERVE_BYTES)


def _key(record: Record) -> tuple[str, Kind, Job]:
    return record.target, record.last.kind, record.last.job


def _is_result(outcome: Outcome) -> bool:
    """Return whether an outcome tells of the backup, not only of the job."""
    if outcome.job is Job.CHECK:
        return outcome.error in {None, RepositoryDamaged.reason}
    return outcome.error != Terminated.reason


_STATE = TypeAdapter(State)
