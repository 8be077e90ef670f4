"""The failures of the last hours, from poll to poll: what is new comes in, what is old goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from prefect_exporter.failures.model import Failed, Signature
from prefect_exporter.failures.rules import Rules
from prefect_exporter.failures.signatures import Assigned, assigned

MOST_FAILURES = 20_000
"""Failures that are kept, the newest: of each some hundred bytes."""

MOST_RECENT = 20
"""Failures that are told of one by one, and so keep their messages."""

Happening: TypeAlias = tuple[bytes, int]
"""A run and when it ended: one that is retried may fail again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One failure of the window.

    Args:
        settled: Its signature is what it will be; else its traceback may still come.
    """

    failed: Failed
    signature: Signature
    settled: bool

    @property
    def happening(self) -> Happening:
        """What names it."""
        return self.failed.run_id, self.failed.ended_us


@dataclass(frozen=True, slots=True)
class Window:
    """The failures since a time, the newest first.

    Args:
        entries: Failures, the newest first.
        known_since_us: Since when all are in it; later than the window's start where there are
            more failures than are kept or read.
    """

    entries: tuple[Entry, ...] = ()
    known_since_us: int = 0

    def unsettled(self) -> list[Failed]:
        """Return those whose tracebacks are still to be read."""
        return [entry.failed for entry in self.entries if not entry.settled]

    def known(self) -> frozenset[Happening]:
        """Return what names its failures."""
        return frozenset(entry.happening for entry in self.entries)

    def moved(
        self,
        since_us: int,
        pending: Sequence[Failed],
        texts: Mapping[bytes, str],
        settle_before_us: int,
        rules: Rules = (),
    ) -> Window:
        """Return the window as it is after a poll.

        Args:
            since_us: Where it begins now.
            pending: Those that are new, and those that were not settled.
            texts: The tracebacks that were read of them, "" for none.
            settle_before_us: The logs of runs that ended before are complete.
            rules: A user's own.
        """
        kept = [entry for entry in self.entries if entry.settled]
        new = (_entry(each, settle_before_us) for each in assigned(pending, texts, rules))
        entries = [*kept, *new]
        entries = [entry for entry in entries if entry.failed.ended_us >= since_us]
        entries.sort(key=lambda entry: (-entry.failed.ended_us, entry.failed.run_id))
        known_since_us = max(self.known_since_us, since_us)
        if len(entries) > MOST_FAILURES:
            known_since_us = entries[MOST_FAILURES - 1].failed.ended_us
            del entries[MOST_FAILURES:]
        return Window((*entries[:MOST_RECENT], *map(_brief, entries[MOST_RECENT:])), known_since_us)


def _entry(each: Assigned, settle_before_us: int) -> Entry:
    # What has its fingerprint keeps it; what has none may have been read too early.
    complete = each.sure and each.failed.ended_us < settle_before_us
    return Entry(each.failed, each.signature, complete or bool(each.signature.fingerprint))


def _brief(entry: Entry) -> Entry:
    """Return an entry without its message, if nobody needs that any more."""
    if not entry.settled or not entry.failed.message:
        return entry
    return replace(entry, failed=replace(entry.failed, message=""))
