"""The SQL of a restore into PostgreSQL, which is in ``sql/``.

One transaction runs `begin`, `lock` (writers wait), `lock` again (readers wait too), `clear`,
`extension`, what pg_restore writes, `verify` and COMMIT. Whatever raises ends it, and undoes all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from psycopg import sql

from backup.model import Manifest

UNVERIFIED = "PB001"
"""SQLSTATE of what `verify` raises."""
DEPENDED_ON = "PB002"
"""SQLSTATE of what `clear` raises where something else depends on Prefect's tables."""
FILLED = "PB003"
"""SQLSTATE of what `clear` raises where there are tables that nobody has kept."""

_FOLDER = Path(__file__).parent / "sql"


def not_ours() -> str:
    """Return what asks for objects that this role may not drop: type, name and owner."""
    return _text("not_ours")


def begin() -> str:
    """Return what begins the transaction."""
    return _text("begin")


def lock(mode: Literal["EXCLUSIVE", "ACCESS EXCLUSIVE"]) -> str:
    """Return what locks all tables, at the latest after six attempts of five seconds."""
    return _text("lock").replace(":mode", mode)


def clear(*, kept: bool) -> str:
    """Return what drops everything in schema public that no extension owns.

    Args:
        kept: Whether the tables are in a snapshot; else it raises where there are any.
    """
    return _text("clear").replace(":kept", str(kept).lower())


def extension(schema: str) -> str:
    """Return what makes pg_trgm, which Prefect's indexes use, where it is missing.

    Args:
        schema: Where, as PostgreSQL itself would write it: with quotes if it needs them.
    """
    # CREATE SCHEMA wants the right to do so also where IF NOT EXISTS finds it.
    statements = sql.SQL(
        "SELECT 'CREATE SCHEMA {0}' WHERE to_regnamespace({1}) IS NULL \\gexec\n"
        "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA {0};\n"
    )
    return statements.format(identifier(schema), sql.Literal(schema)).as_string(None)


def identifier(written: str) -> sql.Identifier:
    """Return a name that PostgreSQL itself wrote, with quotes where it needs them."""
    quoted = written.startswith('"')
    return sql.Identifier(written[1:-1].replace('""', '"') if quoted else written)


def verify(manifest: Manifest) -> str:
    """Return what raises where the restored rows are not those of *manifest*."""
    text = json.dumps({"revision": manifest.revision, "rows": dict(manifest.rows)})
    setting = sql.SQL("SELECT set_config('backup.manifest', {}, true);\n").format(sql.Literal(text))
    return setting.as_string(None) + _text("verify")


def _text(name: str) -> str:
    text = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    return text.replace(":objects", (_FOLDER / "objects.sql").read_text(encoding="utf-8"))
