"""The bundled PostgreSQL goes back to the minute before somebody dropped a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from stack.asking import eventually
from stack.compose import ROOT, Stack
from stack.installing import installed

pytestmark = pytest.mark.stack

_SQL = 'PGPASSWORD=$(cat /run/secrets/postgres_password) psql -XAtqU postgres -d prefect -c "$0"'


@pytest.fixture(name="kept", scope="module")
def _kept(say: Callable[[str], None], *, full: bool) -> Iterator[Stack]:
    """A PostgreSQL whose WAL is archived, and with a first backup."""
    if not full:
        pytest.skip("the lean form has no time for it")
    with installed("pitr", []) as stack:
        kept = replace(stack, overrides=[ROOT / "docker-compose.pitr.yml"], profiles=["server"])
        try:
            kept.compose("build", "pitr")
            say(f"PostgreSQL with a first base backup: healthy after {kept.up('pitr'):.0f} s")
            yield kept
        finally:
            # Volumes that the override has are known to nobody without it.
            kept.down("--volumes")


def test_table_is_back_as_at_that_time(kept: Stack, say: Callable[[str], None]) -> None:
    """Every row that was committed before is there, and none that came after."""
    _sql(kept, "CREATE TABLE kept AS SELECT * FROM generate_series(1, 1000) AS number")
    time.sleep(0.1)
    then = _sql(kept, "SELECT clock_timestamp()")
    time.sleep(0.1)
    _sql(kept, "INSERT INTO kept SELECT * FROM generate_series(1001, 2000)")
    _sql(kept, "DROP TABLE kept")

    began = time.monotonic()
    kept.compose("stop", "postgres", "pitr")
    _restore(kept, then, "--yes")
    kept.up("postgres")
    took = time.monotonic() - began
    say(f"point-in-time recovery of an empty Prefect's database: {took:.0f} s, no row lost")

    assert "1000" == eventually(lambda: _sql(kept, "SELECT count(*) FROM kept"), what="the rows")
    assert "f" == eventually(lambda: _sql(kept, "SELECT pg_is_in_recovery()"), what="the end")


def test_restore_refuses_what_would_do_harm(kept: Stack) -> None:
    """A running database, a time without a zone or to come, and who has not said yes."""
    kept.up("postgres")
    refused = {
        ("2026-01-01 00:00:00+00", "--yes"): "PostgreSQL runs",
        ("2026-01-01 00:00:00", "--yes"): "say a time with its zone",
        ("2999-01-01 00:00:00+00", "--yes"): "is yet to come",
        ("'; DROP TABLE x", "--yes"): "say a time with its zone",
    }
    for arguments, said in refused.items():
        ran = kept.try_compose(*_run(*arguments))
        assert 2 == ran.returncode
        assert said in ran.stderr
    assert "1" == _sql(kept, "SELECT 1")


def test_wal_is_in_the_archive_within_a_minute(kept: Stack, say: Callable[[str], None]) -> None:
    """What is written is out of reach of the disk's loss after archive_timeout."""
    kept.up("pitr")
    before = int(_sql(kept, "SELECT archived_count FROM pg_stat_archiver"))
    _sql(kept, "CREATE TABLE IF NOT EXISTS waits ()")
    began = time.monotonic()
    eventually(
        lambda: int(_sql(kept, "SELECT archived_count FROM pg_stat_archiver")) > before or None,
        what="an archived segment",
        within=90,
    )
    say(f"a lone write was archived after {time.monotonic() - began:.0f} s")


def test_database_goes_on_without_its_archive(kept: Stack) -> None:
    """Each failure is counted, which the alert looks at; once it can, PostgreSQL catches up."""
    kept.up("postgres")
    try:
        _archive(kept, "mv /var/lib/pgbackrest/archive /var/lib/pgbackrest/away")
        failed = int(_sql(kept, "SELECT failed_count FROM pg_stat_archiver"))
        _sql(kept, "CREATE TABLE goes_on AS SELECT 1; SELECT pg_switch_wal()")
        eventually(
            lambda: int(_sql(kept, "SELECT failed_count FROM pg_stat_archiver")) > failed or None,
            what="a failure that is counted",
            within=60,
        )
        assert "1" == _sql(kept, "SELECT count(*) FROM goes_on")
    finally:
        _archive(kept, "rm -rf /var/lib/pgbackrest/archive")
        _archive(kept, "mv /var/lib/pgbackrest/away /var/lib/pgbackrest/archive")
    archived = int(_sql(kept, "SELECT archived_count FROM pg_stat_archiver"))
    _sql(kept, "SELECT pg_switch_wal()")
    eventually(
        lambda: int(_sql(kept, "SELECT archived_count FROM pg_stat_archiver")) > archived or None,
        what="what was held back",
        within=90,
    )


def test_repository_shows_nothing_without_its_passphrase(kept: Stack) -> None:
    """Neither the repository's files nor any program's arguments hold rows or the passphrase."""
    passphrase = kept.secret("backup_repository_password")
    for service in ("postgres", "pitr"):
        kept.up(service)
        found = kept.compose("exec", "--no-TTY", service, "sh", "-c", "cat /proc/[0-9]*/cmdline")
        assert passphrase not in found
    look = "cat $(find /var/lib/pgbackrest -name backup.info) | head -c 8"
    assert "Salted__" == kept.compose("exec", "--no-TTY", "pitr", "sh", "-c", look)


def _sql(stack: Stack, statement: str) -> str:
    """Return what the superuser is told."""
    ran = stack.compose("exec", "--no-TTY", "postgres", "sh", "-c", _SQL, statement)
    return ran.strip()


def _archive(stack: Stack, command: str) -> None:
    stack.compose("exec", "--no-TTY", "postgres", "sh", "-c", command)


def _run(*arguments: str) -> list[str]:
    return ["run", "--rm", "--no-deps", "--no-TTY", "pitr", "restore-to", *arguments]


def _restore(stack: Stack, *arguments: str) -> None:
    stack.compose(*_run(*arguments))
