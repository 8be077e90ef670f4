"""The values of a restore, and how they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from backup.database import Database
from backup.errors import BackupError
from backup.model import Kind, Manifest, Snapshot
from backup.repository import Repository
from backup.schema import is_newest

SAFETY_TAGS = {"safety": "yes"}

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One restore: what, from where, into what.

    Args:
        scratch: Where there is room to work.
        timeout: Seconds that it may take.
    """

    repository: Repository
    snapshot: Snapshot
    manifest: Manifest
    into: Database
    scratch: Path
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """What a database holds before it is replaced.

    Args:
        version: PostgreSQL's major one; 0 for SQLite.
        revision: Of the schema; None where the database is empty.
        runs: How many flow runs it has; None where they could not be counted.
        since: How many of them were made after the snapshot.
    """

    version: int = 0
    revision: str | None = None
    runs: int | None = 0
    since: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing that could be lost."""
        return self.revision is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a restore will do; its text is for the person who decides."""

    task: Task
    there: There
    now: datetime

    def __str__(self) -> str:
        """Return a line for each: what is replaced, by what, and what that loses."""
        snapshot, manifest = self.task.snapshot, self.task.manifest
        prefect = snapshot.tags.get("prefect")
        return "\n".join(
            [
                f"Replace  {self.task.into.shown}: {self._replaced()}",
                f"by       snapshot {snapshot.id:.8} of {shown_time(snapshot.time)}"
                + (f", Prefect {prefect}" if prefect else ""),
                f"         {shown_rows(manifest)}, schema {manifest.revision}",
                f"         of the target {self._target()}",
                f"Lost     {self._lost()}",
            ]
        )

    def _target(self) -> str:
        target, repository = target_of(self.task.snapshot), self.task.repository
        if repository.owns(self.task.snapshot):
            return target
        return f"{target}, which is NOT {repository.target}, whose database is replaced"

    def _replaced(self) -> str:
        if self.there.empty:
            return "it is empty"
        runs = "not counted" if self.there.runs is None else f"{self.there.runs:,}"
        return f"{runs} flow runs, schema {self.there.revision}; kept as a snapshot first"

    def _lost(self) -> str:
        age = shown_span((self.now - self.task.snapshot.time).total_seconds())
        if self.there.empty:
            return f"what was written in the {age} since the snapshot"
        if self.there.runs is None:
            return f"what was written in the {age} since; the tables are locked, or very large"
        return f"what was written in the {age} since; {self.there.since:,} flow runs were made then"


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """What a database holds once it was restored.

    Args:
        due: How many flow runs were to start before now, and have not as far as it knows.
        running: How many it takes for running, though they may have ended since.
        roles: Who may read the tables; none for SQLite.
    """

    due: int
    running: int
    roles: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How a restore went.

    Args:
        safety: What was there before; None where there was nothing.
        seconds: How long it took.
        age_seconds: Of the snapshot when the restore began: what was written since is not there.
    """

    task: Task
    safety: Snapshot | None
    seconds: float
    age_seconds: float
    after: After

    def __str__(self) -> str:
        """Return what came of it, and what is to be done."""
        manifest = self.task.manifest
        lines = [
            f"Restored {self.task.into.shown} from snapshot {self.task.snapshot.id:.8}",
            f"{shown_rows(manifest)}: as many as were counted when it was made",
            f"RPO {shown_span(self.age_seconds)} (age of the snapshot), RTO {self.seconds:.0f} s",
        ]
        if self.after.roles:
            lines.append(f"Who may read it: {', '.join(self.after.roles)}")
        if self.after.due:
            lines.append(
                f"Workers start {self.after.due:,} runs again that were due since: stop the workers"
                " first, or pause their pools, where that must not be"
            )
        if self.after.running:
            lines.append(
                f"{self.after.running:,} runs are taken for running as they were then: cancel those"
                " that are not"
            )
        if self.safety is not None:
            lines.append(way_back(self.safety))
        if not is_newest(manifest):
            lines.append(
                "The schema is older than this Prefect: run `prefect server database upgrade -y`"
                " before the server starts (Compose: prefect-migrate does)"
            )
        return "\n".join([*lines, "Restart what serves the API: it may remember what is gone"])


@contextmanager
def putting_aside(otherwise: str) -> Iterator[None]:
    """Say of an error in the block what to do: what is there could not be kept first.

    Args:
        otherwise: What to do where that cannot be mended.
    """
    try:
        yield
    except BackupError as error:
        error.add_note(
            "Nothing was replaced, as what is there could not be kept first: mend that and try"
            f" again, or {otherwise}."
        )
        raise


def way_back(safety: Snapshot) -> str:
    """Return what to type to have again what *safety* kept."""
    arguments = f"--snapshot {safety.id:.8} --yes"
    # The database is what scripts/restore restores unless told otherwise.
    kind = "" if safety.kind is Kind.DATABASE else f"{safety.kind} "
    return (
        f"To go back: prefect-backup restore {safety.kind} {arguments}"
        f' (Compose: make restore ARGS="{kind}{arguments}")'
    )


def target_of(snapshot: Snapshot) -> str:
    """Return whose a snapshot is; what a repository says is shown to a person as it is."""
    return "".join(each if each.isprintable() else "?" for each in snapshot.tags.get("target", "?"))


def shown_time(time: datetime) -> str:
    """Return *time* in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def shown_rows(manifest: Manifest) -> str:
    """Return how much there is, for example ``98,000 rows, of which 1,200 flow runs``."""
    total = sum(manifest.rows.values())
    return f"{total:,} rows, of which {manifest.rows.get('flow_run', 0):,} flow runs"


def shown_span(seconds: float) -> str:
    """Return a span by its two largest units, for example ``2 days 5 hours``."""
    left, parts = max(round(seconds), 0), list[str]()
    for name, length in _UNITS:
        amount, left = divmod(left, length)
        if amount:
            parts.append(f"{amount} {name}{'s' if amount > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
