"""Restic, as one repository is asked by it: its credentials, its locks, its errors."""

from __future__ import annotations

import json
import shlex
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backup.credentials import credentials, ssh_options
from backup.errors import Busy, ProgramFailed, RepositoryUnreachable
from backup.programs import run, scrub
from backup.restic_errors import NO_BUCKET, NO_REPOSITORY, explain, last_retried

_MAX_COMPLAINTS = 100
_RETRY_LOCK_SECONDS = 60
# Restic holds a lock that nobody refreshes for stale after 30 minutes.
_PATIENCE_SECONDS = 35 * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restic:
    """Restic and one repository.

    Args:
        address: The repository's.
        password_file: Its password's.
        credentials_dir: What the store asks for: ``credentials``.
        scratch: A folder for restic's cache and its temporary files.
        timeout_seconds: How long one run may take.
        probe_seconds: How long it may take to answer at all.
        patience_seconds: How long to wait for the lock of a job on another machine.
    """

    address: str
    password_file: Path
    credentials_dir: Path
    scratch: Path
    timeout_seconds: float
    probe_seconds: float = 60.0
    patience_seconds: float = _PATIENCE_SECONDS

    def is_there(self) -> bool:
        """Return whether there is a repository, and it can be opened.

        Raises:
            BackupError: As `identity`.
        """
        return self.identity() is not None

    def identity(self) -> str | None:
        """Return the id that the repository was given when it was made; None where there is none.

        Raises:
            BackupError: What is there cannot be opened, or nothing answers.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        complaints: deque[str] = deque(maxlen=_MAX_COMPLAINTS)
        try:
            # Whoever has the repository for himself may have it for longer than a probe takes.
            probe = ["cat", "config", "--no-lock"]
            answer = self._once(probe, complaints, timeout=self.probe_seconds)
        except ProgramFailed as failed:
            if failed.code == NO_REPOSITORY or any(map(NO_BUCKET.search, complaints)):
                return None
            error = self._explained(failed, complaints)
            if type(error) is ProgramFailed:
                said = last_retried(complaints) or "nothing answers where the repository is"
                error = RepositoryUnreachable("restic", said, failed.code)
            raise error from None
        return str(json.loads(answer)["id"])

    def __call__(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """Run restic; while another machine's job has the repository, wait for it.

        What locks it is for who holds the lock of all jobs: locks that nobody holds are removed.

        Args:
            argv: The command and its arguments.
            env: What a program finds that restic starts.
            on_line: As in ``programs.run``.

        Raises:
            BackupError: What restic complains of.
        """
        deadline = time.monotonic() + self.patience_seconds
        while True:
            complaints: deque[str] = deque(maxlen=_MAX_COMPLAINTS)
            try:
                return self._once(argv, complaints, env=env, on_line=on_line)
            except ProgramFailed as failed:
                error = self._explained(failed, complaints)
            if not isinstance(error, Busy) or time.monotonic() >= deadline:
                raise error
            # The wait was restic's: --retry-lock.
            self._once(["unlock"], complaints)

    def argv(self, *argv: str) -> list[str]:
        """Return the whole command."""
        # Of a job elsewhere; of this machine's there is none, as ``lock`` sees to it.
        wait = min(_RETRY_LOCK_SECONDS, round(self.patience_seconds))
        return ["restic", f"--retry-lock={wait}s", *self._ssh(), *argv]

    def by_hand(self, *argv: str) -> str:
        """Return the whole command for a person, who gives credentials of a store besides."""
        password = ["-p", str(self.password_file)]
        return shlex.join(["restic", "-r", self.address, *password, *self._ssh(), *argv])

    def environment(self) -> dict[str, str]:
        """Return restic's own environment; credentials are in it."""
        return credentials(self.credentials_dir) | {
            "RESTIC_REPOSITORY": self.address,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_CACHE_DIR": str(self.scratch),
            "RESTIC_PROGRESS_FPS": "1",
            "TMPDIR": str(self.scratch),
        }

    def _ssh(self) -> list[str]:
        return ssh_options(self.credentials_dir) if self.address.startswith("sftp:") else []

    def _once(
        self,
        argv: Sequence[str],
        complaints: deque[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        return run(
            self.argv(*argv),
            env={**(env or {}), **self.environment()},
            timeout=timeout or self.timeout_seconds,
            on_line=on_line,
            on_complaint=complaints.append,
        )

    def _explained(self, failed: ProgramFailed, complaints: deque[str]) -> Exception:
        return explain(failed, [scrub(line, self.environment()) for line in complaints])
