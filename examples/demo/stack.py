"""Keep a Prefect that runs elsewhere busy until SIGTERM: ``python -m demo.stack``.

``PREFECT_API_URL`` and ``PREFECT_API_AUTH_STRING`` say which, and ``DEMO_INTERVAL`` how many
seconds lie between two runs. After each round that the server has answered, the file ``demo-pulse``
in the folder for temporary files is new: a health check asks for its age.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import stamina

from demo import pipeline
from demo.api import api_client
from demo.deployments import DEPLOYMENTS, Deployment, deploy, start_run
from demo.driver import Driver

PULSE = Path(tempfile.gettempdir()) / "demo-pulse"

# What a request to `trigger.app` starts.
_SHOP = Deployment("shop", "correlation.flows.fulfil", ("team:shop", "tier:1"), flow="fulfil")
_SECONDS_BETWEEN_TRIES = 5.0


def main() -> int:
    """Make the demo's deployments, then start one run after the other.

    Returns:
        The exit code: 0 when told to end, 2 where the interval is no number of seconds.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A request that is tried again is no news.
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        interval = float(os.environ.get("DEMO_INTERVAL") or 20)
    except ValueError:
        print("demo: DEMO_INTERVAL is not a number of seconds", file=sys.stderr)
        return 2
    url = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    with (
        suppress(KeyboardInterrupt),
        api_client(url, os.environ.get("PREFECT_API_AUTH_STRING")) as client,
    ):
        _keep_busy(client, interval)
    return 0


def _deploy(client: httpx.Client) -> Mapping[str, str]:
    ids = deploy(client, (*DEPLOYMENTS, _SHOP, *pipeline.DEPLOYMENTS))
    # Else the first night would find nothing.
    start_run(client, ids["pretend-orders"], idempotency_key="first")
    return ids


def _keep_busy(client: httpx.Client, interval: float) -> None:
    driver: Driver | None = None
    while True:
        try:
            if driver is None:
                driver = Driver(client, _deploy(client))
                print(f"demo: a run starts every {interval:g} s", flush=True)
            driver.step()
        except httpx.HTTPError as error:
            print(f"demo: {client.base_url} does not do as asked: {error}", flush=True)
            time.sleep(min(interval, _SECONDS_BETWEEN_TRIES))
        else:
            PULSE.touch()
            time.sleep(interval)


if __name__ == "__main__":
    sys.exit(main())
