"""Where the evidence of a finding is to be looked at."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from prefect_exporter.report.model import Link
from prefect_exporter.report.workspace import Workspace

MOST_LINKS = 5


def run_links(workspace: Workspace, run_ids: Iterable[bytes]) -> tuple[Link, ...]:
    """Return links to the pages of flow runs, by their names, five at most."""
    return tuple(_run_link(workspace, each) for each in islice(run_ids, MOST_LINKS))


def _run_link(workspace: Workspace, run_id: bytes) -> Link:
    name = next((run.name for run in workspace.flow_runs("WHERE id = ?", (run_id,))), "a run")
    return Link(name, workspace.run_url(run_id))
