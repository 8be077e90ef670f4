"""A flow for a Kubernetes pool; nothing in it knows of telemetry, or of Kubernetes."""

# ruff: noqa: INP001 - no package: one of this name would hide Kubernetes' own client

from __future__ import annotations

from prefect import flow, get_run_logger, task


@task(retries=2)
def extract(region: str) -> list[int]:
    """Return the amounts of a region's sales."""
    return [len(region), 20, 30]


@task
def load(region: str, amount: int) -> None:
    """Write the total."""
    get_run_logger().info("sales loaded", extra={"region": region, "amount": amount})


@flow
def sales(regions: tuple[str, ...] = ("north", "south")) -> int:
    """Add up the sales of all regions."""
    totals = [sum(amounts) for amounts in extract.map(regions).result()]
    load.map(regions, totals).wait()
    return sum(totals)
