"""Prefect's encryption key, in a repository of its own.

Whoever has the database's repository and its password has the secret blocks, but not what opens
them; this key lies elsewhere, under another password.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cryptography.fernet import Fernet
from pydantic import SecretStr

from backup import programs
from backup.errors import BadSetting, NoSnapshot, Unverified
from backup.files import read_if_there
from backup.model import Kind, Snapshot
from backup.programs import Command
from backup.repository import Repository

if TYPE_CHECKING:
    from backup.settings import Settings

FILENAME = "prefect_encryption_key"
NAME = "PREFECT_BACKUP_ENCRYPTION_KEY_FILE"
_SECONDS = 300.0


class EncryptionKeySource:
    """Backs up the key of a server that is given one.

    Args:
        file: Holds it, as ``PREFECT_SERVER_ENCRYPTION_KEY`` takes it.
    """

    kind: ClassVar[Kind] = Kind.ENCRYPTION_KEY

    def __init__(self, file: Path) -> None:
        self._file = file

    def save(self, repository: Repository) -> Snapshot:
        """Keep the key in *repository*, which must be the one for keys.

        Raises:
            BadSetting: The file holds no such key.
            ProgramFailed: The repository takes nothing.
        """
        if read_key(self._file) is None:
            raise BadSetting(NAME, "is empty; write the key into it that the server has")
        # What is in no argument of a program is seen by nobody.
        command = Command(argv=["cat", str(self._file)], env={})
        return repository.save_command(command, kind=self.kind, filename=FILENAME, tags={})


def read_key(file: Path) -> SecretStr | None:
    """Return the key in a file; None where there is none.

    Raises:
        BadSetting: What is there is no key of Prefect's.
    """
    try:
        text = read_if_there(file)
        return _key(text) if text else None
    except ValueError as error:
        raise BadSetting(NAME, str(error)) from None


def newest(
    settings: Settings,
    *,
    id: str | None = None,  # noqa: A002 - as `Repository.find` has it
    at: datetime | None = None,
) -> SecretStr | None:
    """Return the key from the newest snapshot, else from its file; None where neither has one.

    Args:
        settings: Where both are.
        id: The beginning of another snapshot's id.
        at: The newest snapshot of that time or before it.

    Raises:
        BadSetting: The file holds no such key.
        NoSnapshot: There is none such as *id* or *at* ask for.
        Unverified: What was kept is no key.
        ProgramFailed: The repository gives nothing.
    """
    repository = Repository.of_keys(settings)
    try:
        snapshot = repository.find(Kind.ENCRYPTION_KEY, id=id, at=at)
    except NoSnapshot:
        if id is not None or at is not None:
            raise
        return read_key(settings.encryption_key_file)
    command = repository.dump_command(snapshot, lock=False)
    text = programs.run(command.argv, env=command.env, timeout=_SECONDS)
    try:
        return _key(text.strip())
    except ValueError:
        raise Unverified("what was kept as the encryption key is none") from None


def _key(text: str) -> SecretStr:
    try:
        Fernet(text)
    except ValueError:
        mend = "give the one that the server has in PREFECT_SERVER_ENCRYPTION_KEY"
        raise ValueError(f"holds no Fernet key; {mend}") from None
    return SecretStr(text)
