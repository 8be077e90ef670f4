"""The command ``prefect-exporter report``."""

from __future__ import annotations

from typing import Any

import click

from prefect_exporter.report.arguments import OneLine

FOUND = 5
"""The exit code where ``--fail-on`` finds something."""

NOT_SENT = 6
"""The exit code where the report was made, and an address did not take it."""

_EPILOG = """\
\b
Examples:
  prefect-exporter report --output report.html
  prefect-exporter report --since 30d --tag team:payments --output report.md
  prefect-exporter report --quiet --fail-on high --output report.json

\b
Exit codes:
  0  the report was made
  1  Prefect did not answer, or you stopped it; the same command goes on
  2  a bad setting or option
  5  a finding is as severe as --fail-on says; the report was made
  6  an address did not take the report; it was made
"""


@click.command("report", cls=OneLine, epilog=_EPILOG)
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="The period begins 7d, or 24h, before --until, or at an RFC 3339 time.",
)
@click.option("--until", metavar="TIME", help="It ends then, or so long ago; now, unless told.")
@click.option(
    "--flow", "flows", multiple=True, metavar="NAME", help="Only runs of this flow; many."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only runs with this tag; many.")
@click.option("--target", metavar="NAME", help="Which server, where several are set.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "md", "json"]),
    help="What --output is written as, where its ending does not say it.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Where to: .html, .md or .json; many. Standard output is -, or none.",
)
@click.option(
    "--compare/--no-compare", default=True, help="Read the period before too; it is, unless told."
)
@click.option(
    "--fail-on",
    type=click.Choice(["high", "medium", "low"]),
    help="End with 5 where a finding is at least so severe.",
)
@click.option("--prometheus-url", metavar="URL", help="Has the memory and CPU of your runs.")
@click.option(
    "--prometheus-auth-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Holds Bearer <token>, or user:password, for Prometheus.",
)
@click.option(
    "--price-cpu-hour",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="PRICE",
    help="What one CPU costs an hour, in any currency.",
)
@click.option(
    "--price-memory-gib-hour",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="PRICE",
    help="What a GiB of memory costs an hour.",
)
@click.option(
    "--price-pool",
    "prices",
    multiple=True,
    metavar="NAME=PRICE",
    help="What an hour of one run costs in a work pool; many.",
)
@click.option(
    "--code",
    "code",
    multiple=True,
    type=click.Path(exists=True),
    metavar="PATH",
    help="Sources of flows, which are read and never run; many.",
)
@click.option(
    "--owner-tag",
    "owner_tags",
    multiple=True,
    default=("team", "owner"),
    metavar="KEY",
    help="Tags that name an owner: team, as in team:payments, and owner, unless told; many.",
)
@click.option(
    "--max-task-runs",
    type=click.IntRange(min=0),
    default=40_000,
    show_default=True,
    metavar="N",
    help="Read about so many at most, drawn by whole flow runs.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin nothing more after so many requests.",
)
@click.option("--state", metavar="FILE", help="Keeps what was read until the report is made.")
@click.option("--fresh", is_flag=True, help="Do not go on with a report that was stopped.")
@click.option(
    "--send-to-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Send it to the addresses in FILE, one a line: mailto://…, a Slack webhook.",
)
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def report(**given: Any) -> None:  # noqa: ANN401 - all of the above
    """Say what ought to be fixed first in a workspace: all there is to see, with its evidence.

    Options that say "many" may be given several times.

    Prefect is only read, within PREFECT_EXPORTER_REQUESTS_PER_MINUTE. A report that was stopped
    goes on where it was when the same command is given again within 6 hours.
    """
    # Here, so that the other commands do not wait for the import of everything.
    from prefect_exporter.report.making import Asked, make  # noqa: PLC0415 - see above

    if make(Asked(**given)):
        raise SystemExit(FOUND)
