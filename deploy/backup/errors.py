"""What can go wrong, as one small tree whose members carry facts.

BackupError                  reason, the word in metrics
├── BadSetting               "setting"      the installation says something impossible
├── Busy                     "busy"         another job is at work
├── ProgramFailed            "program"      a program ended with an error, or was killed
│   ├── WrongPassword        "password"     the repository was made with another password
│   ├── RepositoryUnreachable "unreachable" nothing answers where the repository is
│   ├── RepositoryDamaged    "damaged"      a part of it is missing or is not what was written
│   └── NoSpace              "disk_full"    a disk, or the store, is full
├── SourceUnavailable        "source"       the database, API or folder to back up cannot be read
├── NoSnapshot               "no_snapshot"  there is none such as was asked for
├── Unverified               "unverified"   what was restored is not what was backed up
├── SchemaTooNew             "schema"       the snapshot is of a newer Prefect than this one
└── ClockWrong               "clock"        this machine's clock cannot be right

A job that a signal ended, or that was killed, has the reason "terminated": `programs.Terminated`,
which nothing catches on its way.
"""

from __future__ import annotations

from typing import ClassVar


class BackupError(Exception):
    """Anything that this program expects to go wrong; its text is one line for people."""

    reason: ClassVar[str] = "error"


class BadSetting(BackupError):
    """A setting, or a file that it names, says something impossible.

    Args:
        name: The setting's variable.
        problem: What is wrong and what to do, without the value where that may be a secret.
    """

    reason = "setting"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name


class Busy(BackupError):
    """Another job is at work."""

    reason = "busy"


class ProgramFailed(BackupError):
    """A program ended with an error, or was killed.

    Args:
        program: Its name.
        said: The line of what it wrote that says most, without credentials.
        code: Its exit code; negative: the signal that ended it.
    """

    reason = "program"

    def __init__(self, program: str, said: str, code: int) -> None:
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        super().__init__(f"{program} {ended}: {said}" if said else f"{program} {ended}")
        self.program = program
        self.code = code


class WrongPassword(ProgramFailed):
    """The repository was made with another password."""

    reason = "password"


class RepositoryUnreachable(ProgramFailed):
    """Nothing answers where the repository is, or it refuses the credentials."""

    reason = "unreachable"


class RepositoryDamaged(ProgramFailed):
    """A part of the repository is missing, or is not what was written."""

    reason = "damaged"


class NoSpace(ProgramFailed):
    """A disk, or the store, is full."""

    reason = "disk_full"


class SourceUnavailable(BackupError):
    """The database, API or folder to back up, or to restore into, cannot be read or written."""

    reason = "source"


class NoSnapshot(BackupError):
    """There is no snapshot such as was asked for."""

    reason = "no_snapshot"


class Unverified(BackupError):
    """What was restored is not what was backed up."""

    reason = "unverified"


class SchemaTooNew(BackupError):
    """The snapshot is of a newer Prefect than the one that is to read it."""

    reason = "schema"


class ClockWrong(BackupError):
    """This machine's clock cannot be right."""

    reason = "clock"
