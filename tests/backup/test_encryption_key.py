"""The encryption key is kept apart from what it opens."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet, InvalidToken

from backup import programs
from backup.database import Database
from backup.encryption_key import EncryptionKeySource, newest, read_key
from backup.errors import BadSetting, Unverified, WrongPassword
from backup.model import Kind
from backup.repository import Repository
from backup.settings import Settings
from backup.sqlite import SqliteSource
from backup_worlds import ScriptedSource, hasty, repository_of, settings_of
from demo.api import ask
from demo.prefect_server import start_prefect_server
from demo.sandbox import Sandbox

SECRET = "hunter2-in-a-block"  # noqa: S105 - of a throw-away server

_KEYS = re.compile(rb"[A-Za-z0-9_-]{43}=")


def kept(settings: Settings, key: str) -> Repository:
    """Keep a key and return the repository."""
    settings.encryption_key_file.write_text(f"{key}\n")
    repository = hasty(Repository.of_keys(settings))
    repository.ready()
    EncryptionKeySource(settings.encryption_key_file).save(repository)
    return repository


def test_key_comes_back_from_its_own_repository(tmp_path: Path) -> None:
    """Also where the file is gone with the machine."""
    settings, key = settings_of(tmp_path), Fernet.generate_key().decode()
    kept(settings, key)
    settings.encryption_key_file.unlink()
    found = newest(settings)

    assert found is not None
    assert key == found.get_secret_value()
    assert key not in repr(found)


def test_file_serves_until_there_is_a_snapshot(tmp_path: Path) -> None:
    """Where neither is, Prefect has the key in its database and nobody else has one."""
    settings, key = settings_of(tmp_path), Fernet.generate_key().decode()
    Repository.of_keys(settings).ready()
    assert newest(settings) is None
    settings.encryption_key_file.write_text(key)
    found = newest(settings)

    assert found is not None
    assert key == found.get_secret_value()


@pytest.mark.parametrize("text", ["hunter2", "x" * 44, Fernet.generate_key().decode()[:-2]])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    """The line names the setting and the mend, and the file is not kept."""
    settings = settings_of(tmp_path)
    settings.encryption_key_file.write_text(text)
    repository = Repository.of_keys(settings)
    repository.ready()
    with pytest.raises(BadSetting) as raised:
        EncryptionKeySource(settings.encryption_key_file).save(repository)

    expected = (
        "PREFECT_BACKUP_ENCRYPTION_KEY_FILE holds no Fernet key; "
        "give the one that the server has in PREFECT_SERVER_ENCRYPTION_KEY"
    )
    assert expected == str(raised.value)
    assert [] == repository.snapshots(Kind.ENCRYPTION_KEY)


def test_empty_file_is_no_backup(tmp_path: Path) -> None:
    """The job fails rather than keep nothing."""
    settings = settings_of(tmp_path)
    settings.encryption_key_file.touch()
    assert read_key(settings.encryption_key_file) is None
    with pytest.raises(BadSetting, match="is empty"):
        EncryptionKeySource(settings.encryption_key_file).save(Repository.of_keys(settings))


def test_snapshot_that_holds_no_key_is_told(tmp_path: Path) -> None:
    """What somebody else put there is not taken for the key."""
    settings = settings_of(tmp_path)
    repository = Repository.of_keys(settings)
    repository.ready()
    ScriptedSource("echo hunter2", kind=Kind.ENCRYPTION_KEY).save(repository)
    with pytest.raises(Unverified, match="is none") as raised:
        newest(settings)

    assert "hunter2" not in str(raised.value)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_dump_without_the_key_opens_no_secret(tmp_path: Path) -> None:
    """Who has the database's repository and its password lacks the key, which opens the block."""
    settings, key = settings_of(tmp_path), Fernet.generate_key().decode()
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox, PREFECT_SERVER_ENCRYPTION_KEY=key)
        with server.client() as client:
            _save_secret(client)
        path = server.database_url.removeprefix("sqlite+aiosqlite:///")
        repository = repository_of(settings)
        repository.ready()
        database = Database.of(f"sqlite:///{path}")
        snapshot = SqliteSource(database, settings.scratch_dir).save(repository)
    kept(settings, key)

    command = repository.dump_command(snapshot)
    dump = tmp_path / "dump.sqlite"
    shell = ["sh", "-c", 'exec "$@" > "$0"', str(dump), *command.argv]
    programs.run(shell, env=command.env, timeout=60)
    token = _token(dump)
    content = dump.read_bytes()
    assert SECRET.encode() not in content
    assert [] == [found for found in set(_KEYS.findall(content)) if _opened(found, token)]
    found = newest(settings)
    assert found is not None
    assert SECRET in (_opened(found.get_secret_value().encode(), token) or "")


def test_database_repository_password_opens_no_key(tmp_path: Path) -> None:
    """The two passwords are two."""
    settings = settings_of(tmp_path)
    kept(settings, Fernet.generate_key().decode())
    settings.key_password_file.write_text(settings.password_file.read_text())
    with pytest.raises(WrongPassword):
        newest(settings)


def _save_secret(client: httpx.Client) -> None:
    (kind,) = ask(client, "/block_types/filter", block_types={"slug": {"any_": ["secret"]}})
    where = {"block_type_id": {"any_": [kind["id"]]}}
    schema = ask(client, "/block_schemas/filter", block_schemas=where)[0]
    ids = {"block_schema_id": schema["id"], "block_type_id": kind["id"]}
    ask(client, "/block_documents/", name="secret", data={"value": SECRET}, **ids)


def _token(dump: Path) -> bytes:
    """Return the one block of a database as it stands there."""
    with closing(sqlite3.connect(dump)) as connection:
        ((data,),) = connection.execute("SELECT data FROM block_document").fetchall()
    return str(data).strip('"').encode()


def _opened(key: bytes, token: bytes) -> str | None:
    try:
        return Fernet(key).decrypt(token).decode()
    except (InvalidToken, ValueError):
        return None
