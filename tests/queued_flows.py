"""A flow that takes a moment, for the test of queues."""

from __future__ import annotations

import time

from prefect import flow


@flow
def short() -> None:
    """Hold a slot for some seconds."""
    time.sleep(3)
