"""Say in one line why this Prefect cannot work with its PostgreSQL, before a migration fails of it.

prefect-migrate starts it first, as the role that owns the tables. It ends with 2 where that cannot
connect, may not make tables, or does not see `pg_trgm`.
"""  # noqa: INP001  # run by its path

from __future__ import annotations

import asyncio
import ssl
import sys

import asyncpg  # type: ignore[import-untyped]  # it has no types
import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.settings import get_current_settings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

_RIGHTS = """
SELECT current_user AS "user",
    has_schema_privilege('public', 'CREATE') AS makes_tables,
    coalesce(
        (SELECT bool_or(pg_opclass_is_visible(oid)) FROM pg_opclass WHERE opcname = 'gin_trgm_ops'),
        has_database_privilege(current_database(), 'CREATE')
    ) AS has_trigrams
"""

_ROLES = "run deploy/prefect/external-roles.sql (docs/external-postgres.md)"
_AUTHORITY = (
    "secrets/postgres_ca.pem must hold who signed the server's, which must be for that host name"
)


async def trouble() -> str | None:
    """Return what keeps Prefect from its database, and what mends it; None where nothing does."""
    try:
        engine = await provide_database_interface().engine()
        async with engine.connect() as connection:
            rights = (await connection.execute(sa.text(_RIGHTS))).one()
    except (OSError, DBAPIError, asyncpg.PostgresError) as error:
        return _why(error)
    if not rights.makes_tables:
        return f"{rights.user} may not make tables in the schema public: {_ROLES}"
    if not rights.has_trigrams:
        return f"{rights.user} finds no extension pg_trgm on its search path: {_ROLES}"
    return None


def _why(error: Exception) -> str:
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig else error
    cause = cause.__cause__ or cause
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({cause.verify_message}): {_AUTHORITY}"
        case ssl.SSLError(reason="NO_CERTIFICATE_OR_CRL_FOUND"):
            return f"there is no certificate to trust: {_AUTHORITY}"
        case TimeoutError():
            return "it does not answer: check its host and port, and its firewall"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"it refuses the role ({cause}): {_ROLES}"
        case _:
            return f"{type(cause).__name__}: {' '.join(str(cause).split())}"


def main() -> None:
    """Report trouble and end with 2, or say nothing."""
    url = get_current_settings().server.database.connection_url
    where = make_url(url.get_secret_value() if url else "").set(password=None, query={})
    if what := asyncio.run(trouble()):
        print(f"PostgreSQL at {where.host}:{where.port}: {what}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
