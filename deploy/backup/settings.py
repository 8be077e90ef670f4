"""Every setting: its variable, default, bounds and meaning, in one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backup.crontab import Cron
from backup.database import Database
from backup.errors import BadSetting
from backup.files import read_if_there, read_password
from backup.model import Kind
from backup.targets import NAME as TARGETS_FILE
from backup.targets import Target, read_targets
from backup.values import ADDRESS, CRON, PATH, REPOSITORY, Address, choice, seconds, whole

PREFIX = "PREFECT_BACKUP_"

Folder = Annotated[Path, PATH]
Schedule = Annotated[Cron, CRON]


def _setting(name: str, default: str | None, meaning: str) -> Any:  # noqa: ANN401 - as pydantic's Field: the default is text, the attribute is not
    return Field(
        default, validate_default=True, validation_alias=f"{PREFIX}{name}", description=meaning
    )


class Settings(BaseSettings):
    """What the backup was told, checked; ``environment.load_settings`` reads it.

    Durations are seconds. No setting holds a secret: they name the files that do.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        enable_decoding=False,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    repository: Annotated[str, REPOSITORY] = _setting(
        "REPOSITORY", "/var/lib/prefect-backup/repository", "Where snapshots are kept."
    )
    password_file: Folder = _setting(
        "PASSWORD_FILE",
        "/run/secrets/backup_repository_password",
        "The repository's password. Without it no snapshot can be read: keep it elsewhere too.",
    )
    key_repository: Annotated[str, REPOSITORY] = _setting(
        "KEY_REPOSITORY",
        "/var/lib/prefect-backup/key-repository",
        "Where the server's encryption key is kept, apart from what it opens.",
    )
    key_password_file: Folder = _setting(
        "KEY_PASSWORD_FILE",
        "/run/secrets/backup_key_repository_password",
        "The password of that repository.",
    )
    credentials_dir: Folder = _setting(
        "CREDENTIALS_DIR",
        "/run/secrets/backup",
        "One file for each credential of the store, named as the variable that restic reads.",
    )
    database_file: Folder = _setting(
        "DATABASE_FILE",
        "/run/secrets/backup_database_url",
        "The address of Prefect's database: `postgresql://...` or `sqlite:////...`, its password"
        " included.",
    )
    bundled_database_file: Folder = _setting(
        "BUNDLED_DATABASE_FILE",
        "/targets/backup_database",
        "The same without a password, where there is no such file or an empty one; the stack"
        " writes it for its own PostgreSQL.",
    )
    database_password_file: Folder = _setting(
        "DATABASE_PASSWORD_FILE",
        "/run/secrets/backup_password",
        "The password for the stack's own PostgreSQL.",
    )
    targets_file: Folder = _setting(
        "TARGETS_FILE",
        "/targets/exporter.yaml",
        "The Prefect APIs whose objects are kept: `docs/targets.md`. The first one's name stands"
        " on the database too.",
    )
    volumes_dir: Folder = _setting(
        "VOLUMES_DIR", "/volumes", "One folder for each volume of the stack that is kept."
    )
    encryption_key_file: Folder = _setting(
        "ENCRYPTION_KEY_FILE",
        "/run/secrets/prefect_encryption_key",
        "The server's encryption key; without such a file, or with an empty one, Prefect keeps"
        " it in the database.",
    )
    state_dir: Folder = _setting(
        "STATE_DIR", "/var/lib/prefect-backup/state", "How the last jobs went, and their lock."
    )
    scratch_dir: Folder = _setting(
        "SCRATCH_DIR",
        "/var/lib/prefect-backup/scratch",
        "What is needed only for a while: restic's cache, SQLite's copy, the drill's PostgreSQL.",
    )

    schedule: Schedule = _setting("SCHEDULE", "17 1 * * *", "When a backup is made.")
    drill_schedule: Schedule = _setting(
        "DRILL_SCHEDULE", "17 4 * * 0", "When the newest snapshot is restored as a test."
    )
    check_schedule: Schedule = _setting(
        "CHECK_SCHEDULE", "17 5 * * 0", "When the repositories are checked."
    )
    jitter_seconds: Annotated[float, seconds("0s", "6h")] = _setting(
        "JITTER", "15m", "How much later than its schedule a job begins at most, by chance."
    )
    check_percent: Annotated[int, whole(1, 100)] = _setting(
        "CHECK_PERCENT",
        "5",
        "How much of the data each check reads, in percent; each time another part.",
    )
    keep_last: Annotated[int, whole(1, 1_000)] = _setting(
        "KEEP_LAST", "3", "How many of the newest snapshots of each kind are kept."
    )
    keep_daily: Annotated[int, whole(0, 1_000)] = _setting(
        "KEEP_DAILY", "7", "For how many days the last one of each day is."
    )
    keep_weekly: Annotated[int, whole(0, 1_000)] = _setting(
        "KEEP_WEEKLY", "5", "The same for weeks."
    )
    keep_monthly: Annotated[int, whole(0, 1_000)] = _setting(
        "KEEP_MONTHLY", "12", "The same for months."
    )
    keep_yearly: Annotated[int, whole(0, 1_000)] = _setting(
        "KEEP_YEARLY", "3", "The same for years."
    )
    timeout_seconds: Annotated[float, seconds("1m", "7d")] = _setting(
        "TIMEOUT", "6h", "How long one program, such as a dump, may take."
    )
    listen_address: Annotated[Address, ADDRESS] = _setting(
        "LISTEN_ADDRESS", "127.0.0.1:9878", "Where `/metrics` is."
    )
    log_level: Annotated[str, choice("debug", "info", "warning", "error")] = _setting(
        "LOG_LEVEL", "info", "The least level of log lines to write."
    )
    log_format: Annotated[str, choice("auto", "json", "console")] = _setting(
        "LOG_FORMAT", "auto", "How log lines are written; auto is console on a terminal, else json."
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Settings:
        """Read what the files say once, so that a mistake is told before anything begins."""
        problems = []
        for read in (self._read_database, self._read_targets, self._read_key):
            try:
                read()
            except BadSetting as error:
                problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def database(self) -> Database | None:
        """The database to dump; None where none is named."""
        return self._read_database()

    @property
    def targets(self) -> tuple[Target, ...]:
        """The APIs whose objects are kept, as the targets file has them."""
        return self._read_targets()

    @property
    def target(self) -> str:
        """The label ``target`` of what is kept once: database, volumes, encryption key."""
        return self.targets[0].name if self.targets else "default"

    @property
    def has_encryption_key(self) -> bool:
        """Whether the server is given its key, and does not keep one in its database."""
        return bool(self._read_key())

    def configured(self) -> Mapping[tuple[str, Kind], bool]:
        """Return which kinds are kept, by target.

        The database of Prefect Cloud is nobody's to dump, so that there is no word of it.
        """
        targets = self.targets
        first = self.target
        cloud = bool(targets) and targets[0].cloud
        once = {
            Kind.DATABASE: self.database is not None,
            Kind.VOLUMES: self.volumes_dir.is_dir(),
            Kind.ENCRYPTION_KEY: self.has_encryption_key,
        }
        found = {(first, kind): there for kind, there in once.items()}
        if cloud and not once[Kind.DATABASE]:
            del found[first, Kind.DATABASE]
        objects = {(each.name, Kind.OBJECTS): True for each in targets}
        return found | (objects or {(first, Kind.OBJECTS): False})

    def _read_database(self) -> Database | None:
        name = "DATABASE_FILE"
        try:
            if text := read_if_there(self.database_file):
                return Database.of(text)
            name = "BUNDLED_DATABASE_FILE"
            if not (text := read_if_there(self.bundled_database_file)):
                return None
            name = "DATABASE_PASSWORD_FILE"
            password = SecretStr(read_password(self.database_password_file))
            name = "BUNDLED_DATABASE_FILE"
            return Database.of(text, password)
        except ValueError as error:
            raise BadSetting(f"{PREFIX}{name}", str(error)) from None

    def _read_targets(self) -> tuple[Target, ...]:
        try:
            return read_targets(self.targets_file)
        except ValueError as error:
            raise BadSetting(TARGETS_FILE, str(error)) from None

    def _read_key(self) -> str:
        try:
            return read_if_there(self.encryption_key_file)
        except ValueError as error:
            raise BadSetting(f"{PREFIX}ENCRYPTION_KEY_FILE", str(error)) from None
