"""What tests of the backup share: a PostgreSQL with a database of Prefect's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup_databases import Databases, make_sqlite, prefect_databases
from monitoring import BIN


@pytest.fixture(scope="session", autouse=True)
def _restic_is_found() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session", name="sqlite_file")
def _sqlite_file(databases: Databases) -> Path:
    return make_sqlite(databases.sandbox)


@pytest.fixture(scope="session", name="databases")
def _databases() -> Iterator[Databases]:
    with prefect_databases() as databases:
        yield databases
