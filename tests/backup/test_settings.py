"""Settings: what is accepted, what a person is told otherwise, and that no secret shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from backup.database import Database
from backup.environment import BadSettings, describe
from backup.model import Kind
from backup.settings import Settings
from backup.values import Accept
from backup_worlds import ROOT, settings_of

DOCS = ROOT / "docs" / "backup-and-restore.md"
HIDDEN = "hunter2-do-not-show"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("SCHEDULE", "17 25 * * *", "='17 25 * * *' is no time of cron's; give five fields"),
        ("SCHEDULE", "daily", "='daily' has 1 fields; give five fields of cron"),
        ("DRILL_SCHEDULE", "17 4 * * 9", "='17 4 * * 9' is no time of cron's"),
        ("JITTER", "7h", "='7h' is out of range; give a duration from 0s to 6h"),
        ("CHECK_PERCENT", "0", "='0' is out of range; give a whole number from 1 to 100"),
        ("KEEP_LAST", "0", "='0' is out of range; give a whole number from 1 to 1000"),
        ("KEEP_DAILY", "-1", "='-1' is not a whole number"),
        ("TIMEOUT", "soon", "='soon' is not a duration"),
        ("STATE_DIR", "state", "='state' is no whole path; give a path that begins with /"),
        ("LISTEN_ADDRESS", "9878", "='9878' has no host, or no port"),
        ("LOG_LEVEL", "loud", "='loud' is not known; give debug, info, warning or error"),
        ("REPOSITORY", f"rest:https://u:{HIDDEN}@h/", " holds a password, which belongs into"),
        ("REPOSITORYS", "x", " is not a setting; did you mean PREFECT_BACKUP_REPOSITORY?"),
    ],
)
def test_bad_value_is_told_in_one_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    """The line names the variable, what is wrong, and the mend; a secret is not in it."""
    with pytest.raises(BadSettings) as caught:
        settings_of(tmp_path, **{name: text})

    (line,) = caught.value.problems
    assert line.startswith(f"PREFECT_BACKUP_{name}{told}")
    assert HIDDEN not in line


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("database_url", f"mysql://u:{HIDDEN}@h/d", "_DATABASE_FILE holds no address such as"),
        (
            "database_url",
            "sqlite:///prefect.db",
            "_DATABASE_FILE names no SQLite file by its whole",
        ),
        (
            "database_url",
            f"postgresql://u:{HIDDEN}@h/d?nonsense={HIDDEN}",
            "_DATABASE_FILE holds an address that libpq cannot read (invalid URI query parameter)",
        ),
        ("database_url", "x" * 70_000, "_DATABASE_FILE is too large for a secret"),
        ("../targets.yaml", "targets: [", "_TARGETS_FILE names a file that is not YAML"),
        ("../targets.yaml", "targets: []", "_TARGETS_FILE names a file without a list"),
        ("../targets.yaml", "targets: [{name: a}]", "_TARGETS_FILE names a file with a target"),
    ],
)
def test_bad_file_is_told_in_one_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    """What a file holds wrong is told by the setting that names it, without its secrets."""
    settings_of(tmp_path)
    (tmp_path / "secrets" / name).write_text(text)

    with pytest.raises(BadSettings) as caught:
        settings_of(tmp_path)

    (line,) = caught.value.problems
    assert line.startswith(f"PREFECT_BACKUP{told}")
    assert HIDDEN not in line


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            f"postgresql+asyncpg://me:{HIDDEN}@db:5433/prefect?ssl=verify-full&timeout=5",
            {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "me", "PGDATABASE": "prefect",
             "PGSSLMODE": "verify-full"},
        ),
        (
            f"postgres://me:{HIDDEN}@db/prefect?sslmode=verify-ca&sslrootcert=/ca.pem",
            {"PGHOST": "db", "PGUSER": "me", "PGDATABASE": "prefect", "PGSSLMODE": "verify-ca",
             "PGSSLROOTCERT": "/ca.pem"},
        ),
        (
            f"postgresql:///prefect?host=/run/postgresql&user=me&password={HIDDEN}",
            {"PGHOST": "/run/postgresql", "PGUSER": "me", "PGDATABASE": "prefect"},
        ),
    ],
    ids=["as Prefect has it", "as libpq has it", "by a socket"],
)  # fmt: skip
def test_address_becomes_libpq_s_environment(
    tmp_path: Path, url: str, parts: dict[str, str]
) -> None:
    """Each part is a variable; the password is in a file that only we can read."""
    database = Database.of(url)

    found = dict(database.environment(tmp_path))

    file = Path(found.pop("PGPASSFILE"))
    assert parts == found
    assert f"*:*:*:*:{HIDDEN}\n" == file.read_text()
    assert 0o600 == file.stat().st_mode & 0o777
    assert HIDDEN not in f"{database!r} {database.shown}"
    assert HIDDEN == database.conninfo()["password"]


def test_password_is_written_as_libpq_reads_it(tmp_path: Path) -> None:
    """Colons and backslashes are parts of a password."""
    database = Database.of("postgresql://me@db/prefect", SecretStr(r"a:b\c d'"))

    file = Path(database.environment(tmp_path)["PGPASSFILE"])

    assert r"*:*:*:*:a\:b\\c d'" == file.read_text().strip()
    assert r"a:b\c d'" == database.conninfo()["password"]


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_sqlite_is_a_file(scheme: str) -> None:
    """Both forms name a path; options are not the file's."""
    database = Database.of(f"{scheme}:////var/lib/pre%20fect.db?timeout=60")

    assert ("sqlite", Path("/var/lib/pre fect.db")) == (database.engine, database.path)


def test_bundled_database_counts_where_no_other_is_named(tmp_path: Path) -> None:
    """The stack's own has its password apart; a database of one's own wins."""
    settings = settings_of(tmp_path)
    assert settings.database is None
    settings.bundled_database_file.write_text("postgresql://prefect_backup@postgres/prefect\n")
    settings.database_password_file.write_text(f"{HIDDEN}\n")

    bundled = settings.database
    settings.database_file.write_text("sqlite:////prefect.db\n")
    own = settings.database

    assert bundled is not None
    assert own is not None
    assert ("postgresql prefect_backup@postgres:5432/prefect", HIDDEN) == (
        bundled.shown,
        bundled.conninfo()["password"],
    )
    assert "sqlite" == own.engine


def test_targets_are_as_init_writes_them(tmp_path: Path) -> None:
    """Name, address and credentials; an empty secret is none."""
    settings = settings_of(tmp_path)
    (tmp_path / "auth").write_text("admin:secret\n")
    (tmp_path / "empty").write_text("")
    settings.targets_file.write_text(
        "targets:\n"
        f"  - name: default\n    url: http://p:4200/api/\n    auth_string_file: {tmp_path}/auth\n"
        f"  - name: other\n    url: http://q:4200/api\n    api_key_file: {tmp_path}/empty\n"
    )

    first, second = settings.targets

    assert ("default", "http://p:4200/api") == (first.name, first.url)
    assert {"Authorization": "Basic YWRtaW46c2VjcmV0"} == first.headers()
    assert {} == second.headers()
    assert {
        ("default", Kind.OBJECTS): True,
        ("other", Kind.OBJECTS): True,
        ("default", Kind.DATABASE): False,
        ("default", Kind.VOLUMES): False,
        ("default", Kind.ENCRYPTION_KEY): False,
    } == settings.configured()


def test_settings_are_shown_with_their_origin(tmp_path: Path) -> None:
    """What is shown reads as what is given."""
    rows = {name: value for name, _origin, value in describe(settings_of(tmp_path, TIMEOUT="90m"))}

    assert ("1h30m", "15m", "127.0.0.1:9878") == tuple(
        rows[f"PREFECT_BACKUP_{name}"] for name in ("TIMEOUT", "JITTER", "LISTEN_ADDRESS")
    )


def documentation(field: FieldInfo) -> str:
    """Return the row of a setting."""
    accept = next(each for each in field.metadata if isinstance(each, Accept))
    row = f"`{field.validation_alias}` | `{field.default}` | {accept.words} | {field.description}"
    return f"| {row} |"


def test_every_setting_is_documented_and_nothing_else() -> None:
    """The table of docs/backup-and-restore.md has exactly the settings that there are."""
    rows = re.findall(r"^\| `PREFECT_BACKUP_.*$", DOCS.read_text(), re.MULTILINE)

    assert {documentation(field) for field in Settings.model_fields.values()} == set(rows)
