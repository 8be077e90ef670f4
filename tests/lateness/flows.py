"""A flow two of whose tasks want the one slot of a tag, until a file says that it is enough."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from prefect import flow, task


@task(tags=["press"])
def load(stop: str) -> None:
    """Hold the slot."""
    while not Path(stop).exists():
        time.sleep(0.1)


@flow(log_prints=False)
def tagged(stop: str) -> None:
    """Start both."""
    for future in [load.submit(stop), load.submit(stop)]:
        future.wait()


if __name__ == "__main__":
    tagged(sys.argv[1])
