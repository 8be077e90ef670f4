"""Databases of Prefect's that tests back up: with the real schema, runs, and a secret block."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from backup.database import Database
from bench.catalog import make_catalog
from bench.history import History, Unended
from bench.seeding import Amount, fill
from demo.postgres import Postgres, start_postgres
from demo.sandbox import Sandbox

ENCRYPTION_KEY = "dGVzdHMga2VlcCBubyBzZWNyZXQsIG5vdCBhIG9uZSE="
"""What the block in these databases is encrypted with."""

FLOW_RUNS = 60
TASKS = 3
_UNENDED = Unended(running=3, beating=1, late=2, scheduled=4)
_FILLED = "filled"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Databases:
    """A PostgreSQL with a database that others are copied from."""

    postgres: Postgres
    sandbox: Sandbox

    @contextmanager
    def copy(self, name: str, template: str = _FILLED) -> Iterator[Database]:
        """Make a database like *template*, as long as the block lasts."""
        with self.admin() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield Database.of(self.postgres.url(name))
        finally:
            with self.admin() as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def admin(self, name: str = "postgres") -> psycopg.Connection:
        """Return the superuser's connection, which commits each statement."""
        return psycopg.connect(self.postgres.url(name), autocommit=True)

    def scratch(self, name: str = "scratch") -> Path:
        """Return a folder that the account of PostgreSQL can pass through."""
        folder = self.sandbox.folder / name
        folder.mkdir(mode=0o711, exist_ok=True)
        return folder


@contextmanager
def prefect_databases() -> Iterator[Databases]:
    """Run a PostgreSQL whose database ``filled`` has 69 flow runs, their task runs and a block.

    An hour-old server's worth: nothing in it changes by itself.
    """
    with Sandbox() as sandbox:
        postgres = start_postgres(sandbox, durable=False, max_connections="200")
        postgres.create_database(_FILLED)
        _upgrade(sandbox, postgres.prefect_url(_FILLED))
        history = History(make_catalog(flows=3, deployments=6, seed=1), tasks=TASKS, seed=1)
        amount = Amount(flow_runs=FLOW_RUNS, days=7, unended=_UNENDED)
        fill(postgres.url(_FILLED), history, amount)
        _run(sandbox, postgres.prefect_url(_FILLED), str(Path(__file__)), "0")
        yield Databases(postgres, sandbox)


def make_sqlite(sandbox: Sandbox, flow_runs: int = FLOW_RUNS) -> Path:
    """Return the file of a database, in WAL mode as Prefect leaves it, with runs and a block."""
    path = sandbox.folder / "prefect.db"
    url = f"sqlite+aiosqlite:///{path}"
    _upgrade(sandbox, url)
    _run(sandbox, url, str(Path(__file__)), str(flow_runs))
    return path


def copy_sqlite(path: Path, into: Path) -> Database:
    """Copy a database that nobody writes to, and return it as one that may be backed up."""
    copy = into / "prefect.db"
    shutil.copy(path, copy)
    return Database.of(f"sqlite:///{copy}")


def _upgrade(sandbox: Sandbox, url: str) -> None:
    _run(sandbox, url, "-m", "prefect", "server", "database", "upgrade", "-y")


def _run(sandbox: Sandbox, url: str, *arguments: str) -> None:
    environment = sandbox.prefect_environment(
        "prefect",
        PREFECT_API_DATABASE_CONNECTION_URL=url,
        PREFECT_SERVER_ENCRYPTION_KEY=ENCRYPTION_KEY,
        PYTHONPATH=":".join(sys.path),
    )
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr


async def _fill(flow_runs: int) -> None:
    # Here, as each of them reads Prefect's settings.
    from prefect.server import models as typed_models  # noqa: PLC0415
    from prefect.server.database import provide_database_interface  # noqa: PLC0415
    from prefect.server.schemas import actions, core, states  # noqa: PLC0415

    # Its decorators hide what these functions return.
    models: Any = typed_models
    async with provide_database_interface().session_context(begin_transaction=True) as session:
        kind = await models.block_types.create_block_type(
            session, core.BlockType(name="Vault", slug="vault")
        )
        fields = {"properties": {"value": {"type": "string"}}, "secret_fields": ["value"]}
        schema = await models.block_schemas.create_block_schema(
            session, actions.BlockSchemaCreate(fields=fields, block_type_id=kind.id)
        )
        await models.block_documents.create_block_document(
            session,
            actions.BlockDocumentCreate(
                name="vault",
                data={"value": "not for everybody"},
                block_schema_id=schema.id,
                block_type_id=kind.id,
            ),
        )
        flow = await models.flows.create_flow(session, core.Flow(name="of-sqlite"))
        for _ in range(flow_runs):
            run = core.FlowRun(flow_id=flow.id, state=states.Completed())
            await models.flow_runs.create_flow_run(session, run)


if __name__ == "__main__":
    asyncio.run(_fill(int(sys.argv[1])))
