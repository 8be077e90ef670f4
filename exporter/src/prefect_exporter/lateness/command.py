"""The command ``prefect-exporter why-late``."""

from __future__ import annotations

import asyncio

import click

from prefect_exporter.asking import client_of, one_target
from prefect_exporter.environment import BadSettings
from prefect_exporter.lateness.answer import Answer, NoSuchDeploymentError, Query, answer
from prefect_exporter.lateness.document import as_json, as_text
from prefect_exporter.moments import SECOND
from prefect_exporter.polling import now_us
from prefect_exporter.settings import Settings
from prefect_exporter.ui_links import ui_links


@click.command("why-late")
@click.argument("deployment", required=False)
@click.option("--target", help="Which server or workspace, where several are set.")
@click.option("as_json_", "--json", is_flag=True, help="Answer as JSON.")
def why_late(deployment: str | None, target: str | None, *, as_json_: bool) -> None:
    """Say why flow runs are late, with the evidence and the command that mends it.

    DEPLOYMENT is flow/deployment, a deployment's name, or its id. Without it everything that is
    late is told, most runs first. Prefect is only read.
    """
    settings = one_target(target)
    at_us = now_us()
    query = Query(
        deployment, at_us, round(settings.late_after_seconds * SECOND), settings.active_pages
    )
    try:
        found = asyncio.run(_ask(settings, query))
    except NoSuchDeploymentError:
        problem = f"DEPLOYMENT {deployment!r}: Prefect has no deployment of this name or id"
        raise BadSettings((f"{problem}; `prefect deployment ls` lists them",)) from None
    links = ui_links(settings.api_url, settings.ui_url)
    if as_json_:
        click.echo(as_json(found, settings.target, at_us, links))
    else:
        click.echo(as_text(found, at_us, links))


async def _ask(settings: Settings, query: Query) -> Answer:
    async with client_of(settings) as client:
        return await answer(client, query, lambda told: click.echo(f"{told} …", err=True))
