"""Failed runs and their tracebacks, in as few words as a test wants."""

from __future__ import annotations

from prefect_exporter.failures.model import Failed
from prefect_exporter.moments import SECOND

NOW_US = 1_795_348_800 * SECOND


def failed(  # noqa: PLR0913 - all that a failure has
    number: int,
    message: str = "Flow run encountered an exception: ValueError: no",
    *,
    ago: float = 0.0,
    flow: str = "etl",
    deployment: str = "nightly",
    state: tuple[str, str] = ("FAILED", "Failed"),
) -> Failed:
    """Return a failed run that ended so many seconds ago."""
    ended_us = NOW_US - round(ago * SECOND)
    name = f"run-{number}"
    return Failed(run_id(number), name, flow, deployment, *state, message, ended_us)


def run_id(number: int) -> bytes:
    """Return the id of the run with this number."""
    return number.to_bytes(16, "big")


def traceback(function: str = "load", error: str = "ValueError: no") -> str:
    """Return Prefect's line of a run that failed in a function."""
    return (
        f"Encountered exception during execution: {error!r}\n"
        "Traceback (most recent call last):\n"
        f'  File "/srv/shop/flows.py", line 7, in {function}\n'
        "    raise error\n"
        f"{error}"
    )
