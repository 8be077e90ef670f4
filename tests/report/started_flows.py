"""Flows that start each other in all ways that code has; run with ``PREFECT_API_URL`` set."""

from __future__ import annotations

from prefect import flow, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Completed


@flow(name="inline")
def inline() -> None:
    """End at once."""


@flow(name="parent")
def parent() -> None:
    """Start a subflow, and a run of a deployment, which no worker takes: it ends here."""
    inline()
    run = run_deployment("remote/later", timeout=0)
    assert isinstance(run, FlowRun)  # from a flow that is not async
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Completed(), force=True)


if __name__ == "__main__":
    parent()
