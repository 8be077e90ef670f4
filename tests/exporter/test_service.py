"""The service: how it goes on where its ledger does not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from contexts import ledger_of, settings_of
from misbehaving import MisbehavingPrefect
from prefect_exporter.errors import LedgerUnreadable
from prefect_exporter.service import Service
from prefect_exporter.settings import Settings

DEADLINE_SECONDS = 60


def settings_with(path: Path, url: str) -> Settings:
    """Return settings of a service that polls often, with a ledger that is there already."""
    settings = settings_of(STATE_PATH=str(path), POLL_INTERVAL="1s")
    path.parent.mkdir(exist_ok=True)
    ledger_of(path, settings).close()
    return settings.model_copy(update={"api_url": url})


def damage(path: Path) -> None:
    """Overwrite what SQLite has not read yet: all pages but the first."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def aside(folder: Path) -> list[Path]:
    """Return the damaged ledgers that were moved aside."""
    return [path for path in folder.glob("*.damaged-*") if "journal" not in path.name]


async def run_until_aside(service: Service, folder: Path) -> None:
    """Let the service run until a damaged ledger was moved aside, or it ends."""
    task = asyncio.create_task(service.run())
    for _ in range(DEADLINE_SECONDS * 20):
        if task.done() or aside(folder):
            break
        await asyncio.sleep(0.05)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


def test_damage_at_run_time_begins_anew(tmp_path: Path) -> None:
    """A ledger that turns out damaged while in use is moved aside; a new one takes its place."""

    async def check() -> tuple[int, int]:
        async with MisbehavingPrefect() as prefect:
            settings = settings_with(tmp_path / "ledger", prefect.url)
            async with Service(settings) as service:
                before = service.exposition().version
                damage(tmp_path / "ledger")
                await run_until_aside(service, tmp_path)
                await asyncio.gather(*(runner.tick() for runner in service.runners))
                return before, service.exposition().version

    before, after = asyncio.run(check())

    assert before <= after
    assert 1 == len(aside(tmp_path))
    with closing(sqlite3.connect(tmp_path / "ledger")) as con:
        assert [("ok",)] == con.execute("PRAGMA quick_check").fetchall()


def test_damaged_ledger_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    """Where the damaged file cannot be moved, the error names the ledger, and nothing hides it."""
    folder = tmp_path / "state"

    async def check() -> None:
        async with MisbehavingPrefect() as prefect:
            settings = settings_with(folder / "ledger", prefect.url)
            async with Service(settings) as service:
                damage(folder / "ledger")
                folder.rename(tmp_path / "elsewhere")
                await run_until_aside(service, folder)

    with pytest.raises(LedgerUnreadable, match="cannot be moved aside"):
        asyncio.run(check())
