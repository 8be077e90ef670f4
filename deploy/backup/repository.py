"""Snapshots in a repository of restic's: encrypted, deduplicated, local or in an object store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from backup.errors import (
    BadSetting,
    NoSnapshot,
    ProgramFailed,
    SourceUnavailable,
)
from backup.files import read_password
from backup.hearing import heard
from backup.memory import Known, Memory
from backup.model import Kind, Snapshot
from backup.programs import Command
from backup.restic import Restic
from backup.restic_errors import INCOMPLETE
from backup.restic_json import line_of, snapshot_of
from backup.retention import SAFETY_DAYS, Retention
from backup.settings import PREFIX, Settings

HOST = "prefect-observability"
"""What restic calls the machine: containers have other names each time, and series must go on."""

_NOT_IN_TAGS = re.compile(r"[,\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository, and the series of one target in it.

    Args:
        restic: Restic and the repository's address.
        target: Whose snapshots: the tag ``target``.
        memory: Which one it was the last time.
    """

    restic: Restic
    target: str
    memory: Memory

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the one for all but the encryption key.

        Raises:
            BadSetting: There is no password for it.
        """
        return cls._made(settings, "", settings.repository, settings.password_file)

    @classmethod
    def of_keys(cls, settings: Settings) -> Self:
        """Return the one for the encryption key alone.

        Raises:
            BadSetting: There is no password for it.
        """
        file = settings.key_password_file
        return cls._made(settings, "KEY_", settings.key_repository, file)

    @classmethod
    def _made(cls, settings: Settings, which: str, address: str, password_file: Path) -> Self:
        try:
            read_password(password_file)
        except ValueError as error:
            raise BadSetting(
                f"{PREFIX}{which}PASSWORD_FILE", f"names {str(password_file)!r}, which {error}"
            ) from None
        restic = Restic(
            address=address,
            password_file=password_file,
            credentials_dir=settings.credentials_dir,
            scratch=settings.scratch_dir / "restic",
            timeout_seconds=settings.timeout_seconds,
        )
        memory = Memory(settings.state_dir / f"{which.lower()}repository.json")
        return cls(restic=restic, target=settings.target, memory=memory)

    def of_target(self, target: str) -> Repository:
        """Return the same repository with the series of another target."""
        return replace(self, target=target)

    def owns(self, snapshot: Snapshot) -> bool:
        """Return whether a snapshot is one of this target's."""
        return f"target={snapshot.tags.get('target')}" == _tag("target", self.target)

    def is_there(self) -> bool:
        """Return whether there is a repository at all.

        Raises:
            BackupError: As `ready`.
        """
        return self.restic.is_there()

    def ready(self) -> None:
        """Make the repository where there was none yet, and let go of locks that nobody holds.

        This is for who holds the lock of all jobs: other containers of this installation have the
        same name and other processes, so that restic takes their locks for nobody's.

        Raises:
            RepositoryDamaged: The one that was used before is gone.
            WrongPassword: It is another's.
            RepositoryUnreachable: Nothing answers, or the credentials are refused.
            NoSpace: There is no room for as much as a lock.
            BackupError: Whatever else restic says.
        """
        there = self.restic.identity()
        if there is None:
            self.memory.check_gone(self.restic.address)
            there = line_of(self.restic("init", "--json"))["id"]
        self.restic("unlock")
        self.memory.note(Known(id=there, address=self.restic.address))

    def save_command(
        self, command: Command, *, kind: Kind, filename: str, tags: Mapping[str, str]
    ) -> Snapshot:
        """Keep what a program writes to its standard output, as one file.

        Args:
            command: The program; if it fails, there is no snapshot.
            kind: The series.
            filename: What the file is called in the snapshot.
            tags: What else the snapshot tells.

        Raises:
            SourceUnavailable: The program failed; with what it said.
            BackupError: Restic did.
        """
        # The store's credentials are restic's alone; what else is in the environment is no secret.
        hidden = [word for name in self.restic.environment() for word in ("-u", name)]
        words = ["--stdin-from-command", f"--stdin-filename={filename}"]
        with heard(command, self.restic.scratch / "said") as argv:
            return self._backup([*words, "--", "env", *hidden, *argv], kind, tags, command.env)

    def save_folder(self, folder: Path, *, kind: Kind, tags: Mapping[str, str]) -> Snapshot:
        """Keep a folder with all that it holds.

        Raises:
            SourceUnavailable: A part of it cannot be read; no snapshot is left of it then.
            BackupError: Restic failed.
        """
        return self._backup(["--", str(folder.absolute())], kind, tags, {})

    def snapshots(self, kind: Kind, *, safety: bool = False) -> list[Snapshot]:
        """Return the snapshots of one kind, the oldest first.

        Args:
            kind: The series.
            safety: Whether to return those that a restore took first, in place of the others.
        """
        return [each for each in self._snapshots(self._series(kind)) if each.safety == safety]

    def everything(self) -> list[Snapshot]:
        """Return the snapshots of all kinds and targets, the oldest first."""
        return self._snapshots([])

    def find(self, kind: Kind, *, id: str | None = None, at: datetime | None = None) -> Snapshot:  # noqa: A002 - as the command line has it
        """Return the newest snapshot of a kind.

        Args:
            kind: The series.
            id: The beginning of the snapshot's id; a safety snapshot's too.
            at: The newest one of that time or before it.

        Raises:
            NoSnapshot: There is none such, or the id fits several.
        """
        if id is not None:
            return self._with_id(kind, id)
        found = [each for each in self.snapshots(kind) if at is None or each.time <= at]
        if not found:
            until = f" of {at:%Y-%m-%d %H:%M:%S %Z} or before" if at else ""
            raise NoSnapshot(f"there is no snapshot of kind {kind}{until} for {self.target}")
        return found[-1]

    def dump_command(self, snapshot: Snapshot, *, lock: bool = True) -> Command:
        """Return the command that writes the one file of a snapshot to its standard output.

        Args:
            snapshot: Of `save_command`.
            lock: Whether to keep others from removing it meanwhile; for who holds the lock of all
                jobs.
        """
        free = [] if lock else ["--no-lock"]
        argv = self.restic.argv("dump", *free, snapshot.id, snapshot.path)
        return Command(argv=argv, env=self.restic.environment())

    def fetch_folder(
        self,
        snapshot: Snapshot,
        into: Path,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Write the content of a folder that was kept into another one.

        Args:
            snapshot: Of `save_folder`.
            into: Is made where it is not there; what it holds besides stays.
            on_progress: Gets the bytes that are done, and all.
        """

        def tell(line: str) -> None:
            status = line_of(line)
            if on_progress is not None and status.get("message_type") in {"status", "summary"}:
                on_progress(status.get("bytes_restored", 0), status.get("total_bytes", 0))

        source = f"{snapshot.id}:{snapshot.path}"
        self.restic("restore", "--json", source, f"--target={into}", on_line=tell)

    def forget(self, keep: Retention, kind: Kind) -> None:
        """Remove the snapshots of a kind that need not be kept, and the data that only they had.

        Those that a restore took are kept for 14 days, and the newest of them for good.
        """
        safety = ["--keep-last=1", f"--keep-within={SAFETY_DAYS}d"]
        removed = self._forget(kind, "safety=yes", safety)
        removed += self._forget(kind, "safety=no", keep.options())
        # Not by --prune: each of the two would do it, and read all of the index for it.
        if removed:
            self.restic("prune")

    def _forget(self, kind: Kind, which: str, keep: Sequence[str]) -> int:
        """Remove snapshots, and return how many; their data stays."""
        series = f"--tag={','.join([*self._series(kind), which])}"
        answer = self.restic("forget", "--json", "--group-by=", series, *keep)
        # Of no snapshots at all, restic says nothing.
        return sum(len(group["remove"] or ()) for group in json.loads(answer or "[]"))

    def check(self, percent: int, part: int) -> None:
        """Look for damage: everything is there, and a part of the data is what was written.

        Args:
            percent: How much of the data is read.
            part: Which part; after 100 / *percent* successive parts, all was read.

        Raises:
            RepositoryDamaged: Something is missing, or is not what was written.
        """
        parts = -(-100 // percent)
        self.restic("check", f"--read-data-subset={part % parts + 1}/{parts}")

    def size_bytes(self) -> int:
        """Return how much the store holds: of all kinds and targets, compressed."""
        answer = self.restic("stats", "--mode=raw-data", "--json")
        return int(line_of(answer)["total_size"])

    def _backup(
        self, words: Sequence[str], kind: Kind, tags: Mapping[str, str], env: Mapping[str, str]
    ) -> Snapshot:
        summary: dict[str, Any] = {}

        def take(line: str) -> None:
            if (parsed := line_of(line)).get("message_type") == "summary":
                summary.update(parsed)

        all_tags = {"kind": kind, "target": self.target, "safety": "no"} | dict(tags)
        given = [f"--tag={_tag(name, value)}" for name, value in all_tags.items()]
        argv = ["backup", "--json", f"--host={HOST}", *given, *words]
        try:
            self.restic(*argv, env=env, on_line=take)
        except ProgramFailed as failed:
            if failed.code == INCOMPLETE and "snapshot_id" in summary:
                self.restic("forget", summary["snapshot_id"])
                raise SourceUnavailable(f"a part of it cannot be read: {failed}") from None
            raise
        return self._with_id(kind, summary["snapshot_id"])

    def _with_id(self, kind: Kind, beginning: str) -> Snapshot:
        found = [
            each
            for each in self._snapshots([f"kind={kind}"])
            if beginning and each.id.startswith(beginning.lower())
        ]
        if len(found) != 1:
            problem = "several snapshots begin" if found else "no snapshot begins"
            raise NoSnapshot(f"{problem} with {beginning[:64]!r} among those of kind {kind}")
        return found[0]

    def _series(self, kind: Kind) -> list[str]:
        return [_tag("kind", kind), _tag("target", self.target)]

    def _snapshots(self, tags: Sequence[str]) -> list[Snapshot]:
        only = [f"--tag={','.join(tags)}"] if tags else []
        answer = json.loads(self.restic("snapshots", "--json", "--no-lock", *only))
        found = [snapshot for each in answer if (snapshot := snapshot_of(each)) is not None]
        return sorted(found, key=lambda each: each.time)


def _tag(name: str, value: str) -> str:
    # A comma would make two tags of it.
    return f"{name}={_NOT_IN_TAGS.sub('_', value)}"
