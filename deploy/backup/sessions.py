"""Tells whether a connection keeps its session, or a pooler gives each transaction another."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

_ROUNDS = 10


def are_kept(connect: Callable[[], psycopg.Connection]) -> bool:
    """Return whether every connection that *connect* makes keeps the session that it began with.

    A pooler in transaction mode, such as PgBouncer's or Supabase's port 6543, is no place for
    pg_dump: what that sets for its session stays with a session that others get next, and without
    their search_path these find no table any more.

    Args:
        connect: Makes a connection that commits each statement.

    Raises:
        psycopg.Error: It cannot connect.
    """
    with connect() as first:
        own = _session(first)
        # A pooler makes up the number by which a client would cancel.
        if own == first.info.backend_pid:
            return True
        # Another client may be quicker to take the session that is free now: not ten times.
        return not any(_is_shared(first, own, connect) for _ in range(_ROUNDS))


def _is_shared(
    first: psycopg.Connection, own: int, connect: Callable[[], psycopg.Connection]
) -> bool:
    with connect() as second, second.transaction():
        return _session(second) == own or _session(first) != own


def _session(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
