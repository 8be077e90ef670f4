"""The flow whose real runs the database is filled with: five tasks that each log a line."""

from __future__ import annotations

from prefect import flow, get_run_logger, task


@task
def step(number: int) -> int:
    """Log a line."""
    get_run_logger().info("Step %d has read 4711 rows of the table orders.", number)
    return number


@flow
def five_tasks(batch: int = 7) -> int:
    """Run five steps."""
    return sum(step(number) for number in range(batch, batch + 5))
