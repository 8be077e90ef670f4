"""The command line: ``prefect-backup serve``, ``run``, ``check``, ``drill``, ``restore``."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC
from enum import IntEnum
from types import FrameType

import click
import structlog

from backup.environment import BadSettings, describe, load_settings
from backup.errors import BackupError, BadSetting, Busy
from backup.logs import configure_logs
from backup.model import Kind, Outcome, Snapshot
from backup.programs import Terminated
from backup.settings import Settings

_WAIT_SECONDS = 12 * 3600.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KIND = click.Choice([str(kind) for kind in Kind])

_EPILOG = """\
Settings are environment variables; `prefect-backup settings` shows them, and
docs/backup-and-restore.md says what they mean.

\b
Exit codes:
  0  done
  1  a job failed; the log says why
  2  a bad setting, or a command that is not complete
  3  another job is at work
"""


class Exit(IntEnum):
    """Why the process ended; 0 is "as asked"."""

    FAILED = 1
    BAD_SETTING = 2
    BUSY = 3


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Back up a Prefect 3 server, see that the backups can be restored, and restore them."""


_WAIT = click.option("--wait", is_flag=True, help="Wait for a job that is at work.")
_JITTER = click.option(
    "--jitter",
    is_flag=True,
    help="Begin later by chance, by PREFECT_BACKUP_JITTER at most: for a schedule elsewhere.",
)


@cli.command("serve", epilog=_EPILOG)
@click.option(
    "--metrics-only",
    is_flag=True,
    help="Serve /metrics alone: others do the jobs, by the same schedules.",
)
def serve_command(*, metrics_only: bool) -> None:
    """Back up, check and drill when it is due, and serve /metrics, until SIGTERM."""
    # Here and below: each command waits only for the imports that it needs.
    from backup.serve import serve  # noqa: PLC0415 - see above

    _settings()
    serve(load_settings, jobs=not metrics_only)


@cli.command("run", epilog=_EPILOG)
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=_KIND)
@_WAIT
@_JITTER
def run_command(kinds: Sequence[str], *, wait: bool, jitter: bool) -> None:
    """Make a snapshot now: of everything, or of the KINDs that are given.

    A KIND is database, objects, volumes or encryption_key.
    """
    from backup.desk import Desk  # noqa: PLC0415 - see serve
    from backup.jobs import run_backup  # noqa: PLC0415 - see serve

    desk = Desk(settings=_begun(jitter=jitter), wait_seconds=_WAIT_SECONDS * wait)
    _tell(run_backup(desk, [Kind(kind) for kind in kinds]))


@cli.command("check", epilog=_EPILOG)
@_WAIT
@_JITTER
def check_command(*, wait: bool, jitter: bool) -> None:
    """Look for damage in the repositories, and read a part of their data: each time another."""
    from backup.desk import Desk  # noqa: PLC0415 - see serve
    from backup.jobs import run_check  # noqa: PLC0415 - see serve

    desk = Desk(settings=_begun(jitter=jitter), wait_seconds=_WAIT_SECONDS * wait)
    _tell(run_check(desk))


@cli.command("drill", epilog=_EPILOG)
@click.argument("kinds", metavar="[KIND]...", nargs=-1, type=_KIND)
@click.option("--snapshot", metavar="ID", help="This one, and not the newest; with one KIND.")
@_WAIT
@_JITTER
def drill_command(kinds: Sequence[str], snapshot: str | None, *, wait: bool, jitter: bool) -> None:
    """Restore the newest snapshots as a test, where nobody looks: are they whole?"""
    from backup.desk import Desk  # noqa: PLC0415 - see serve
    from backup.jobs import run_drill  # noqa: PLC0415 - see serve
    from backup.progress import shown  # noqa: PLC0415 - see serve

    if snapshot is not None and len(kinds) != 1:
        raise click.UsageError("--snapshot needs the one KIND that it is of")
    desk = Desk(settings=_begun(jitter=jitter), wait_seconds=_WAIT_SECONDS * wait)
    with shown() as say:
        outcomes = run_drill(desk, [Kind(kind) for kind in kinds], snapshot=snapshot, say=say)
    _tell(outcomes)


@cli.command("snapshots", epilog=_EPILOG)
@click.argument("kind", required=False, type=_KIND)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all that each one tells.")
def snapshots_command(kind: str | None, *, as_json: bool) -> None:
    """List the snapshots of all kinds, or of one KIND; the newest is the last."""
    from backup.desk import KEYS, MAIN, open_repository, repository_name  # noqa: PLC0415 - see serve

    settings = _settings()
    names = (MAIN, KEYS) if kind is None else (repository_name(Kind(kind)),)
    repositories = [open_repository(settings, name) for name in names]
    found = [
        snapshot
        for repository in repositories
        if repository.is_there()
        for snapshot in repository.everything()
        if kind in (None, snapshot.kind)
    ]
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=1))
    else:
        head = ("ID", "TIME", "KIND", "TARGET", "BYTES", "")
        _table([head, *(_as_row(each) for each in found)])


_SNAPSHOT = click.option("--snapshot", metavar="ID", help="The beginning of the snapshot's id.")
_AT = click.option(
    "--at", metavar="TIME", help="The newest of this time or before: 2026-11-20T03:00Z."
)


@cli.command("restore", epilog=_EPILOG)
@click.argument("kind", default=str(Kind.DATABASE), type=_KIND)
@_SNAPSHOT
@_AT
@click.option("--target", metavar="NAME", help="Whose objects; the first target's unless given.")
@click.option(
    "--into-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="A database of SQLite's to restore into, in place of the one in the settings.",
)
@click.option("--yes", is_flag=True, help="Do it; without it, only what would be done is told.")
def restore_command(  # noqa: PLR0913 - one for each option
    kind: str,
    snapshot: str | None,
    at: str | None,
    target: str | None,
    into_file: str | None,
    *,
    yes: bool,
) -> None:
    """Put a snapshot in the place of what there is: the newest of a KIND, unless told otherwise.

    KIND is database, unless given. What a database held before becomes a snapshot first.
    """
    from backup.restoring import Wish, restore  # noqa: PLC0415 - see serve

    _check_one(snapshot, at)
    wish = Wish(
        kind=Kind(kind), snapshot=snapshot, at=at, target=target, into_file=into_file, yes=yes
    )
    if not restore(_settings(), wish):
        sys.exit(Exit.BAD_SETTING)


@cli.command("show-key", epilog=_EPILOG)
@_SNAPSHOT
@_AT
@click.option("--yes", is_flag=True, help="Show the secret on this terminal.")
def show_key_command(snapshot: str | None, at: str | None, *, yes: bool) -> None:
    """Print the encryption key of a snapshot, for a server that lost it: of the newest by itself.

    An older database may need the key that its server had then.
    """
    from backup.encryption_key import newest  # noqa: PLC0415 - see serve
    from backup.restore import at_time  # noqa: PLC0415 - see serve

    _check_one(snapshot, at)
    if not yes:
        raise click.UsageError("it prints a secret; give --yes where nobody looks on")
    key = newest(_settings(), id=snapshot, at=at_time(at) if at else None)
    if key is None:
        raise BadSetting("PREFECT_BACKUP_ENCRYPTION_KEY_FILE", "has no key, and none was kept")
    click.echo(key.get_secret_value())


@cli.command("settings", epilog=_EPILOG)
def settings_command() -> None:
    """Show every setting, where it came from, and its value; no secret is among them."""
    settings = _settings()
    _table([("SETTING", "FROM", "VALUE"), *describe(settings)])
    click.echo()
    for (target, kind), there in settings.configured().items():
        click.echo(f"{target}: {kind} is {'' if there else 'NOT '}backed up")


def main() -> None:
    """Run the command line, and end with the exit code that says why."""
    configure_logs("info", "auto")
    for number in _SIGNALS:
        signal.signal(number, _end)
    try:
        cli()
    except BadSettings as error:
        _fail(Exit.BAD_SETTING, error.problems)
    except BackupError as error:
        known = {BadSetting: Exit.BAD_SETTING, Busy: Exit.BUSY}
        lines = [str(error), *getattr(error, "__notes__", [])]
        _fail(known.get(type(error), Exit.FAILED), lines)
    except Terminated as ended:
        _fail(Exit.FAILED, [str(ended)])
    except Exception:  # noqa: BLE001 - logged whole, once, and the process ends
        structlog.get_logger(__name__).exception("backup.crashed")
        sys.exit(Exit.FAILED)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _begun(*, jitter: bool) -> Settings:
    """Return the settings once it is time to begin: at once, or a while later by chance."""
    settings = _settings()
    if jitter:
        seconds = random.uniform(0, settings.jitter_seconds)
        structlog.get_logger(__name__).info("job.waiting", seconds=round(seconds))
        time.sleep(seconds)
    return settings


def _check_one(snapshot: str | None, at: str | None) -> None:
    if snapshot is not None and at is not None:
        raise click.UsageError("--snapshot and --at name a snapshot each; give one of them")


def _end(number: int, _frame: FrameType | None) -> None:
    # Once is enough: what it started is being ended, and how it went written down.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Terminated(signal.Signals(number).name)


def _tell(outcomes: Iterable[Outcome]) -> None:
    if any(outcome.error is not None for outcome in outcomes):
        sys.exit(Exit.FAILED)


def _fail(code: Exit, lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"prefect-backup: {line}", err=True)
    sys.exit(code)


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _as_row(snapshot: Snapshot) -> tuple[str, ...]:
    time = snapshot.time.astimezone(UTC)
    note = "before a restore" if snapshot.safety else ""
    target = _printable(snapshot.tags.get("target", ""))
    size = f"{snapshot.size_bytes:,}"
    return snapshot.id[:8], f"{time:%Y-%m-%d %H:%M:%SZ}", snapshot.kind, target, size, note


def _as_json(snapshot: Snapshot) -> dict[str, object]:
    return {
        "id": snapshot.id,
        "time": snapshot.time.isoformat(),
        "kind": snapshot.kind,
        "size_bytes": snapshot.size_bytes,
        "safety": snapshot.safety,
        "tags": dict(snapshot.tags),
    }


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
