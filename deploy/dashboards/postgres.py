"""Panels of the PostgreSQL that Prefect keeps everything in."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries

from dashboards import palette, panels, tables
from dashboards.board import Row
from dashboards.sources import OF_TARGET, instant, ranged

_DATABASES = f'{OF_TARGET}, datname!~"template.*|postgres"'
_CONNECTIONS = f"sum by (target) (pg_stat_activity_count{{{OF_TARGET}}})"
_MOST = f"max by (target) (pg_settings_max_connections{{{OF_TARGET}}})"
_SIZE = f"pg_database_size_bytes{{{_DATABASES}}}"
_TABLE = "target, datname, relname"
_UP = {"1": ("up", palette.GOOD), "0": ("DOWN", palette.BAD)}


def full() -> stat.Panel:
    """Return how many of the connections are taken."""
    return (
        panels.stat_panel(
            "PostgreSQL connections",
            "Share of max_connections that is taken. At 100 % the server refuses Prefect.",
            panels.RATIO,
        )
        .with_target(instant(f"max({_CONNECTIONS} / on (target) {_MOST})"))
        .thresholds(palette.rising(0.7, 0.85))
    )


def row() -> Row:
    """Return how large, how busy and how healthy the database is."""
    first = [_up(), _hits(), _longest(), _deadlocks()]
    graphs = [_connections(), _transactions(), _sizes(), _growth(), _wal(), _spilled()]
    kept = [_oldest_rows(), _retained()]
    return Row("PostgreSQL", [*first, *graphs, _tables(), *kept], folded=True)


def _up() -> stat.Panel:
    return (
        panels.stat_panel("PostgreSQL", "Whether its exporter reaches PostgreSQL.", panels.COUNT)
        .with_target(instant(f"min(pg_up{{{OF_TARGET}}})"))
        .mappings([panels.mapping(_UP)])
        .thresholds(palette.falling(1, 1))
    )


def _hits() -> stat.Panel:
    hit, read = (
        f"sum(rate(pg_stat_database_{name}{{{_DATABASES}}}[5m]))"
        for name in ("blks_hit", "blks_read")
    )
    return (
        panels.stat_panel(
            "Cache hits",
            "Share of blocks that PostgreSQL found in its own memory, in the last five minutes."
            " Far below 99 % for long: give it more shared_buffers.",
            panels.RATIO,
        )
        .with_target(instant(f"{hit} / ({hit} + {read} > 0)"))
        .thresholds(palette.falling(0.9, 0.98))
    )


def _longest() -> stat.Panel:
    lasting = f'pg_stat_activity_max_tx_duration{{{_DATABASES}, state!="idle"}}'
    return (
        panels.stat_panel(
            "Longest transaction",
            "How long the oldest transaction has been open. A long one keeps dead rows from being"
            " removed; idle in transaction means that a client has forgotten it.",
            panels.SECONDS,
        )
        .with_target(instant(f"clamp_min(max({lasting}), 0)"))
        .thresholds(palette.rising(60, 600))
    )


def _deadlocks() -> stat.Panel:
    met = f"pg_stat_database_deadlocks{{{_DATABASES}}}"
    return (
        panels.stat_panel(
            "Deadlocks, last 24 hours",
            "Times that PostgreSQL ended a transaction because two waited for each other.",
            panels.COUNT,
        )
        .with_target(instant(f"round(sum(increase({met}[1d])))"))
        .thresholds(palette.rising(1, 10))
    )


def _connections() -> timeseries.Panel:
    state = f"sum by (state) (pg_stat_activity_count{{{OF_TARGET}}}) > 0"
    return (
        panels.graph(
            "Connections by state",
            "Connections of all roles, and how many there may be. Many that are idle in"
            " transaction want a look.",
            panels.COUNT,
        )
        .with_target(ranged(state, "{{state}}"))
        .with_target(ranged(f"sum({_MOST})", "most"))
        .override_by_name("most", [panels.fixed(palette.BAD)])
    )


def _transactions() -> timeseries.Panel:
    panel = panels.graph(
        "Transactions",
        "Transactions that ended. Prefect rolls back what only reads, so that rollbacks are usual.",
        panels.PER_SECOND,
    )
    for name, what in (("committed", "xact_commit"), ("rolled back", "xact_rollback")):
        rate = f"sum(rate(pg_stat_database_{what}{{{_DATABASES}}}[$__rate_interval]))"
        panel.with_target(ranged(rate, name))
    return panel


def _sizes() -> timeseries.Panel:
    return panels.graph(
        "Size",
        "Bytes of each database on disk, indexes included. Deleted rows free their room for new"
        " ones; the files do not become smaller.",
        panels.BYTES,
    ).with_target(ranged(f"max by (target, datname) ({_SIZE})", "{{target}} {{datname}}"))


def _growth() -> timeseries.Panel:
    return panels.graph(
        "Growth a day",
        "Bytes by which each database would grow in a day at the pace of the last six hours.",
        panels.BYTES,
    ).with_target(
        ranged(f"max by (target, datname) (deriv({_SIZE}[6h])) * 86400", "{{target}} {{datname}}")
    )


def _wal() -> timeseries.Panel:
    return (
        panels.graph(
            "Write-ahead log",
            "Bytes of the log on disk, and where PostgreSQL begins to make room. Far above: an"
            " archive or a replica does not take it.",
            panels.BYTES,
        )
        .with_target(ranged(f"max by (target) (pg_wal_size_bytes{{{OF_TARGET}}})", "{{target}}"))
        .with_target(ranged(f"max(pg_settings_max_wal_size_bytes{{{OF_TARGET}}})", "max_wal_size"))
        .override_by_name("max_wal_size", [panels.fixed(palette.WARNING)])
    )


def _spilled() -> timeseries.Panel:
    rate = f"rate(pg_stat_database_temp_bytes{{{_DATABASES}}}[$__rate_interval])"
    return panels.graph(
        "Sorted on disk",
        "Bytes that queries wrote to temporary files, as work_mem was too small for them.",
        "binBps",
    ).with_target(ranged(f"sum by (datname) ({rate})", "{{datname}}"))


def _tables() -> table.Panel:
    size = f"({_of_table('table_size_bytes')} + {_of_table('index_size_bytes')})"
    largest = f"and topk by (target) (15, {size})"
    dead, live = _of_table("n_dead_tup"), _of_table("n_live_tup")
    vacuumed = f"time() - ({_of_table('last_autovacuum')} > 0)"
    return tables.table_panel(
        "Largest tables",
        "The 15 largest tables of each target, and how long ago each was vacuumed. Dead rows were"
        " changed or deleted and still take room: autovacuum should keep their share low. Tables of"
        " less than 1000 rows show none.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label("datname", "Database", width=110),
            tables.Label("relname", "Table"),
        ],
        [
            tables.Value("Size", f"{size} {largest}", panels.BYTES),
            tables.Value("Indexes", f"{_of_table('index_size_bytes')} {largest}", panels.BYTES),
            tables.Value("Rows", f"{live} {largest}"),
            tables.Value("Dead rows", f"{dead} {largest}"),
            tables.Value(
                "Dead share",
                f"{dead} / ({dead} + {live} > 1000) {largest}",
                panels.RATIO,
                palette.rising(0.2, 0.5),
            ),
            tables.Value("Vacuumed", f"{vacuumed} {largest}", panels.SECONDS),
        ],
    )


def _of_table(what: str) -> str:
    return f"max by ({_TABLE}) (pg_stat_user_tables_{what}{{{_DATABASES}}})"


def _oldest_rows() -> timeseries.Panel:
    return panels.graph(
        "Oldest rows",
        "Age of the oldest row of each table that Prefect prunes. It stays where retention is, or"
        " nothing prunes.",
        panels.SECONDS,
    ).with_target(ranged(_of_rows("oldest_row_age_seconds"), "{{target}} {{table}}"))


def _retained() -> timeseries.Panel:
    age, kept = _of_rows("oldest_row_age_seconds"), _of_rows("retention_seconds")
    return panels.graph(
        "Oldest rows against retention",
        "Age of the oldest row as a share of how long rows of the table are to be kept. Above"
        " 120 % the background service that prunes does not do its work.",
        panels.RATIO,
    ).with_target(ranged(f"{age} / ({kept} > 0)", "{{target}} {{table}}"))


def _of_rows(what: str) -> str:
    return f"max by (target, table) (prefect_table_{what}{{{OF_TARGET}}})"
