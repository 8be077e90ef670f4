"""The command line: ``prefect-exporter serve``, ``report``, ``why-late`` and the smaller ones."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Iterable
from enum import IntEnum

import click
import structlog

from prefect_exporter import __version__
from prefect_exporter.advice import advice
from prefect_exporter.api import RunFilter
from prefect_exporter.asking import client_of
from prefect_exporter.discover import Found, discover, if_told, starting_file
from prefect_exporter.environment import BadSettings, describe, load_settings
from prefect_exporter.errors import ApiError, ExporterError, LedgerError, NotSent
from prefect_exporter.healthcheck import ask_health
from prefect_exporter.lateness.command import why_late
from prefect_exporter.listener import CannotListen, serve
from prefect_exporter.logs import configure_logs
from prefect_exporter.report.command import FOUND, NOT_SENT, report
from prefect_exporter.settings import Settings
from prefect_exporter.shards import Shard, owner
from prefect_exporter.targets import Targets, load_targets, reload_targets

MOST_FILES = 65_536

_EPILOG = """\
Settings are environment variables. These matter most:

\b
  PREFECT_API_URL                  the Prefect API; http://127.0.0.1:4200/api
  PREFECT_API_KEY                  the key of a Cloud workspace
  PREFECT_API_AUTH_STRING          user:password of a self-hosted server
  PREFECT_EXPORTER_LISTEN_ADDRESS  where /metrics is; 127.0.0.1:9877
  PREFECT_EXPORTER_STATE_PATH      the ledger; kept between restarts
  PREFECT_EXPORTER_POLL_INTERVAL   15s
  PREFECT_EXPORTER_TARGETS_FILE    several servers or workspaces

`prefect-exporter check-config` shows all of them, docs/configuration.md says what they mean.

\b
Exit codes:
  0  ended as asked
  1  an unexpected error, or Prefect did not answer; with healthcheck, the exporter did not
  2  a bad setting
  3  the ledger is not usable
  4  the listen address is not usable
  5  with report --fail-on: a finding is as severe
  6  with report --send-to-file: somebody was not reached with it
"""


class Exit(IntEnum):
    """Why the process ended; 0 is "as asked"."""

    UNEXPECTED = 1
    BAD_SETTING = 2
    LEDGER = 3
    LISTEN = 4
    FINDINGS = FOUND
    NOT_SENT = NOT_SENT


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="prefect-exporter")
def cli() -> None:
    """Serve exact Prometheus metrics of a Prefect 3 server or Cloud workspace."""


@cli.command("serve", epilog=_EPILOG)
def serve_command() -> None:
    """Read Prefect and serve /metrics until SIGTERM or Ctrl-C."""
    # Until targets can be read anew; without this it would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    _allow_connections()
    # Here, so that the other commands do not wait for the import of everything.
    from prefect_exporter.service import Service  # noqa: PLC0415 - see above

    # So that scrapes get their turn sooner while the ledger thread renders.
    sys.setswitchinterval(0.001)
    asyncio.run(serve(settings, Service(settings, reload_targets)))


def _allow_connections() -> None:
    """Let the process have as many connections as it may: each target keeps up to eight."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


@cli.command("check-config")
@click.option("--ask", is_flag=True, help="Also ask each target for its version.")
def check_config(*, ask: bool) -> None:
    """Show every setting, where it came from, and its value; secrets are masked."""
    settings = load_settings()
    targets = load_targets(settings)
    _table(("SETTING", "FROM", "VALUE"), describe(settings))
    if settings.targets_file is not None:
        shard = Shard(settings.shard, settings.shards)
        click.echo()
        _table(
            ("TARGET", "READ BY", "URL"),
            (
                (each.name, f"shard {owner(each.name, shard.total)}", each.settings.api_url)
                for each in targets.targets
            ),
        )
    if ask and not asyncio.run(_ask_all(targets)):
        sys.exit(Exit.UNEXPECTED)


def _table(head: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> None:
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for first, second, third in rows:
        click.echo(f"{first:{widths[0]}}  {second:{widths[1]}}  {third}")


async def _ask_all(targets: Targets) -> bool:
    """Print how each target answers, and return whether all do."""
    click.echo()
    answers = await asyncio.gather(*(_ask(target.settings) for target in targets.targets))
    for target, (answers_well, line) in zip(targets.targets, answers, strict=True):
        click.echo(line if len(answers) == 1 else f"{target.name}: {line}", err=not answers_well)
    return all(answers_well for answers_well, _ in answers)


async def _ask(settings: Settings) -> tuple[bool, str]:
    try:
        async with client_of(settings) as client:
            version = await if_told(client.version())
            ready = await if_told(client.ready())
            if version is None:
                # Cloud documents neither route, and a wrong address has none either: what every
                # Prefect answers tells them apart.
                await client.count_flow_runs(RunFilter(state_types=("RUNNING",)))
    except ApiError as error:
        return False, explain(error)[1][0]
    name = f"Prefect {version}" if version else "Prefect"
    database = f" and {'reaches' if ready else 'does NOT reach'} its database"
    return True, f"{name} answers at {settings.api_url}{'' if ready is None else database}."


@cli.command("discover")
def discover_command() -> None:
    """Ask the Prefect that the variables name what it has, and print a targets file to edit.

    Nothing is written but the text on standard output:

        prefect-exporter discover > targets.yaml
    """
    settings = load_settings()
    found = asyncio.run(_discover(settings))
    click.echo(starting_file(found, settings, os.environ), nl=False)


async def _discover(settings: Settings) -> Found:
    async with client_of(settings) as client:
        return await discover(client, lambda told: click.echo(f"{told} …", err=True))


cli.add_command(why_late)
cli.add_command(report)


@cli.command("healthcheck")
def healthcheck_command() -> None:
    """Ask the exporter that has these same settings whether it lives: /healthz."""
    click.echo(f"alive: {ask_health(load_settings())}")


def main() -> None:
    """Run the command line, and end with the exit code that says why."""
    configure_logs("info", "auto")
    try:
        cli()
    except ExporterError as error:
        code, lines = explain(error)
        for line in lines:
            click.echo(f"prefect-exporter: {line}", err=True)
        sys.exit(code)
    except Exception:  # noqa: BLE001 - logged whole, once, and the process ends
        structlog.get_logger(__name__).exception("exporter.crashed")
        sys.exit(Exit.UNEXPECTED)


def explain(error: ExporterError) -> tuple[Exit, tuple[str, ...]]:
    """Return the exit code for *error*, and the lines that tell a person of it."""
    match error:
        case BadSettings():
            return Exit.BAD_SETTING, error.problems
        case LedgerError():
            return Exit.LEDGER, (str(error),)
        case CannotListen():
            return Exit.LISTEN, (str(error),)
        case NotSent():
            return Exit.NOT_SENT, (str(error),)
        case ApiError():
            known = advice(error.kind)
            return Exit.UNEXPECTED, (f"{error.reason}. {known.mend}" if known else error.reason,)
    return Exit.UNEXPECTED, (str(error),)


if __name__ == "__main__":
    main()
