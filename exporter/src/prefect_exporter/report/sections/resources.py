"""Resources and access: what runs ask for, use and cost, and what we were allowed to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prefect_exporter.report.model import Section, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.resources import tables
from prefect_exporter.report.resources.measured import measured
from prefect_exporter.report.resources.pools import by_pool, by_type
from prefect_exporter.report.unread import unread
from prefect_exporter.report.usage import Usage
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

_WORKSPACE = re.compile(r"/accounts/([0-9a-fA-F-]{36})/workspaces/([0-9a-fA-F-]{36})")


def section(workspace: Workspace, usage: Usage | None) -> Section:
    """Return pools compared, requests against use where Prometheus told it, and access."""
    return Section(
        "resources",
        "Resources and access",
        tuple(_paragraphs(workspace, usage)),
        tuple(each for each in _tables(workspace, usage) if each.rows),
    )


def _tables(workspace: Workspace, usage: Usage | None) -> Iterator[Table]:
    yield tables.types_table(workspace, by_type(workspace))
    yield tables.pools_table(workspace, by_pool(workspace), usage)
    if usage:
        yield tables.measured_table(workspace, measured(workspace, usage))
    yield tables.dearest_table(workspace)
    yield tables.access_table(workspace)


def _paragraphs(workspace: Workspace, usage: Usage | None) -> Iterator[str]:
    pools = by_pool(workspace)
    for each in sorted(pools, key=lambda each: each.seconds, reverse=True)[:1]:
        yield (
            f"Runs in work pools took {duration(sum(pool.seconds for pool in pools))}, most of it"
            f" in {each.names[0]} ({each.type}): {duration(each.seconds)} in"
            f" {count(each.runs, 'run')}, of which {share(each.crash_rate)} crashed."
        )
    if usage is None:
        yield (
            "What runs used of memory and CPU is not here, since no Prometheus was asked"
            " (--prometheus-url)."
        )
    else:
        yield (
            f"Prometheus knows the peak memory of {count(len(usage.memory), 'deployment')} and the"
            f" CPU time of {len(usage.cpu_seconds):,};"
            f" {len(measured(workspace, usage)):,} of these ask for a certain amount."
        )
        if usage.spread:
            yield (
                f"{count(len(usage.spread), 'flow')} run tasks in processes of their own: they are"
                " not compared with their requests."
            )
    yield from _access(workspace)


def _access(workspace: Workspace) -> Iterator[str]:
    refused = workspace.catalog.server.refused
    if workspace.question.is_cloud and (found := _WORKSPACE.search(workspace.question.api_url)):
        yield f"This is workspace {found[2]} of account {found[1]} of Prefect Cloud."
    if refused:
        yield (
            f"{count(len(refused), 'route')} of the API would not answer: what they hold is not in"
            " this report, and no finding about it."
        )
    elif lacking := sorted(unread(workspace.store)):
        yield (
            f"Not all was asked for, as so many requests were not allowed: {listed(lacking, 9)}"
            " are lacking, or some of them."
        )
    else:
        yield (
            "All that the report asks for was answered. What else this access allows was not"
            " asked; one that may only read is enough for a report."
        )
