"""Backups: how old, how large, and whether they have been restored."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

from dashboards import palette, panels, tables
from dashboards.board import Board, Row
from dashboards.sources import OF_TARGET, each_interval, instant, ranged

_BY = "target, kind"
_NAME = "{{target}} {{kind}}"
_HOUR = 3600
_DAY = 24 * _HOUR
# The limits of the alerts PrefectBackupStale and PrefectBackupNotVerified.
_STALE = palette.rising(25 * _HOUR, 26 * _HOUR)
_UNVERIFIED = palette.rising(7 * _DAY, 8 * _DAY)
_RESULT = {"1": ("ok", palette.GOOD), "0": ("FAILED", palette.BAD)}


def board() -> Board:
    """Return the board that says what would be left after a loss."""
    return Board(
        uid="prefect-backups",
        title="Backups",
        description="What would be left after a loss, and whether it has been restored.",
        rows=[
            Row("", [_oldest(), _last(), _verified(), _next()]),
            Row("", [_kinds()]),
            Row("", [_ages(), _runs(), _sizes(), _change(), _durations(), _errors()]),
            Row("Can it be restored?", [_drills(), _checks(), _drill_durations(), _snapshots()]),
            Row("Where it is kept", [_store(), _archive()]),
        ],
    )


def _gauge(what: str, among: str = "max") -> str:
    return f"{among} by ({_BY}) (prefect_backup_{what}{{{OF_TARGET}}})"


def _age(what: str) -> str:
    return f"time() - ({_gauge(f'{what}_timestamp_seconds')} > 0)"


def _oldest() -> stat.Panel:
    return (
        panels.stat_panel(
            "Last good backup",
            "How long ago a backup succeeded, of the kind where it is longest. What happened since"
            " would be lost.",
            panels.SECONDS,
        )
        .with_target(instant(f"max({_age('last_success')})"))
        .thresholds(_STALE)
    )


def _last() -> stat.Panel:
    return (
        panels.stat_panel(
            "Last run",
            "Whether the last run of every kind of backup succeeded.",
            panels.COUNT,
        )
        .with_target(instant(f"min(prefect_backup_last_run_success{{{OF_TARGET}}})"))
        .mappings([panels.mapping(_RESULT)])
        .thresholds(palette.falling(1, 1))
    )


def _verified() -> stat.Panel:
    return (
        panels.stat_panel(
            "Last restore that was checked",
            "How long ago a backup was restored and found whole, of the kind where it is longest."
            " A backup that was never restored is a hope.",
            panels.SECONDS,
        )
        .with_target(instant(f"max({_age('last_restore_verified')})"))
        .thresholds(_UNVERIFIED)
    )


def _next() -> stat.Panel:
    due = f'prefect_backup_next_run_timestamp_seconds{{{OF_TARGET}, action="backup"}}'
    return panels.stat_panel(
        "Next backup",
        "In how long the next backup begins. Less than nothing: it did not begin.",
        panels.SECONDS,
    ).with_target(instant(f"min({due}) - time()"))


def _kinds() -> table.Panel:
    return tables.table_panel(
        "Kinds of backup",
        "One row a target and kind.",
        [tables.Label("target", "Target"), tables.Label("kind", "Kind")],
        [
            tables.Value("Last good", _age("last_success"), panels.SECONDS, _STALE),
            tables.Value(
                "Last run", _gauge("last_run_success", "min"), words=panels.mapping(_RESULT)
            ),
            tables.Value("Restored", _age("last_restore_verified"), panels.SECONDS, _UNVERIFIED),
            tables.Value("Size", _gauge("last_size_bytes"), panels.BYTES),
            tables.Value("Took", _gauge("last_duration_seconds"), panels.SECONDS),
            tables.Value("Kept", _gauge("snapshots"), panels.COUNT),
            tables.Value(
                "Last check", _gauge("last_check_success", "min"), words=panels.mapping(_RESULT)
            ),
        ],
    ).height(6)


def _ages() -> timeseries.Panel:
    return panels.graph(
        "Age of the last good backup",
        "It falls to nothing with each good backup. A tooth that is higher than the others: one"
        " failed or did not run.",
        panels.SECONDS,
    ).with_target(ranged(_age("last_success"), _NAME))


def _runs() -> statetimeline.Panel:
    return _results(
        "Result of the last run", "Of each kind; it holds until the next run.", "last_run_success"
    )


def _results(title: str, description: str, what: str) -> statetimeline.Panel:
    return (
        panels.timeline(title, description, _RESULT)
        .with_target(ranged(_gauge(what, "min"), _NAME))
        .span(12)
        .height(8)
    )


def _sizes() -> timeseries.Panel:
    return panels.graph(
        "Size",
        "Bytes of the newest backup of each kind. It should grow as the database does; a drop"
        " means that something is missing.",
        panels.BYTES,
    ).with_target(ranged(_gauge("last_size_bytes"), _NAME))


def _change() -> timeseries.Panel:
    usual = f"quantile_over_time(0.5, prefect_backup_last_size_bytes{{{OF_TARGET}}}[7d])"
    return panels.graph(
        "Size against the week's",
        "The newest backup's size as a share of the median of seven days. Below half, an alert"
        " fires.",
        panels.RATIO,
    ).with_target(ranged(f"{_gauge('last_size_bytes')} / max by ({_BY}) ({usual})", _NAME))


def _durations() -> timeseries.Panel:
    return panels.graph(
        "Duration", "How long the newest backup of each kind took.", panels.SECONDS
    ).with_target(ranged(_gauge("last_duration_seconds"), _NAME))


def _errors() -> timeseries.Panel:
    panel = panels.bars("Errors", "Jobs that failed, by what was done, of what, and why.")
    errors = each_interval(f"prefect_backup_errors_total{{{OF_TARGET}}}")
    failed = f"round(sum by (action, kind, reason) ({errors})) > 0"
    return panel.with_target(ranged(failed, "{{action}} {{kind}}: {{reason}}"))


def _drills() -> statetimeline.Panel:
    return _results(
        "Result of the last restore drill",
        "Whether the newest backup could be restored and used, each time that was tried.",
        "last_restore_success",
    )


def _checks() -> statetimeline.Panel:
    return _results(
        "Result of the last check",
        "Whether the store was whole, as far as each check has read it.",
        "last_check_success",
    )


def _drill_durations() -> timeseries.Panel:
    return panels.graph(
        "Time to restore",
        "How long the last restore drill took: about what a restore takes when it has to be.",
        panels.SECONDS,
    ).with_target(ranged(_gauge("last_restore_duration_seconds"), _NAME))


def _snapshots() -> timeseries.Panel:
    return panels.graph(
        "Backups kept",
        "How many of each kind the store holds. It levels off where as many go as come.",
        panels.COUNT,
    ).with_target(ranged(_gauge("snapshots"), _NAME))


def _store() -> timeseries.Panel:
    stored = f"max by (target, repository) (prefect_backup_repository_size_bytes{{{OF_TARGET}}})"
    return panels.graph(
        "Size of the store",
        "Bytes that all backups take together, after compression: what they share is there once.",
        panels.BYTES,
    ).with_target(ranged(stored, "{{target}} {{repository}}"))


def _archive() -> timeseries.Panel:
    panel = panels.bars(
        "Archived write-ahead log",
        "Segments that PostgreSQL gave to the archive, and tries that failed. None where no"
        " archive is set up.",
    )
    for name in ("archived", "failed"):
        segments = each_interval(f"pg_stat_archiver_{name}_count{{{OF_TARGET}}}")
        panel.with_target(ranged(f"round(sum({segments}))", name))
    return panels.colored(panel, {"archived": palette.GOOD, "failed": palette.BAD})
