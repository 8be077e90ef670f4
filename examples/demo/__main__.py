"""Show the whole thing at work: ``python -m demo``."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from contextlib import suppress

import httpx
import stamina

from demo.alerts import NewAlerts
from demo.driver import Driver, counted_by_exporter, held_by_server
from demo.installation import Installation, install, missing
from demo.processes import NotReadyError, wait_until
from demo.sandbox import Sandbox
from demo.screen import Screen

_SECONDS_BETWEEN_RUNS = 5.0
_SETTLE_SECONDS = 30.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def main() -> int:
    """Start everything, keep it busy until told to stop, and leave nothing behind.

    Returns:
        The exit code: 0, 1 where a part does not start, 130 where start-up was interrupted.
    """
    arguments = _arguments()
    # SIGTERM ends the demo as Ctrl-C does, through every cleanup on the way out; and SIGINT does so
    # too where a shell has started this in the background, with SIGINT ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    # A request that is tried again is no news to the person at the terminal.
    stamina.instrumentation.set_on_retry_hooks([])
    screen = Screen()
    sandbox = Sandbox()
    try:
        with sandbox:
            code = _run(sandbox, screen, arguments.seconds)
            screen.say("Ending all parts ...")
    except NotReadyError as error:
        screen.say(str(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    screen.say(f"Everything has ended and {sandbox.folder} is removed.")
    return code


def _run(sandbox: Sandbox, screen: Screen, seconds: float | None) -> int:
    screen.missing(missing())
    screen.say(f"Starting in {sandbox.folder}:")
    parts = install(sandbox, screen.step)
    screen.addresses(parts)
    if parts.prometheus:
        screen.queries(parts.prometheus)
    try:
        _keep_busy(sandbox, parts, screen, seconds)
    except KeyboardInterrupt:
        screen.say()
    _close(parts, screen)
    return 0


def _keep_busy(
    sandbox: Sandbox, parts: Installation, screen: Screen, seconds: float | None
) -> None:
    screen.say(
        "A run starts every few seconds. Ctrl-C ends the demo."
        if seconds is None
        else f"A run starts every few seconds. The demo ends in {seconds:g} s."
    )
    began = time.monotonic()
    deadline = float("inf") if seconds is None else began + seconds
    alerts = NewAlerts(parts.prometheus.firing) if parts.prometheus else None
    with parts.server.client() as client:
        driver = Driver(client, parts.deployments)
        while (left := deadline - time.monotonic()) > 0:
            sandbox.check()
            # A busy server is asked again in the next round; one that has ended, `check` reports.
            with suppress(httpx.HTTPError):
                driver.step()
            for alert in alerts.since_last() if alerts else ():
                screen.alert(alert, after=time.monotonic() - began)
            time.sleep(min(left, _SECONDS_BETWEEN_RUNS))


def _close(parts: Installation, screen: Screen) -> None:
    screen.say("No new runs; waiting until the exporter has seen the last ones ...")
    parts.worker.stop()
    with parts.server.client() as client:

        def agreed() -> bool:
            return counted_by_exporter(parts.exporter.metrics_url) == held_by_server(client)

        try:
            wait_until(agreed, within=_SETTLE_SECONDS, what="agreement of exporter and server")
        except TimeoutError as error:
            screen.say(str(error))
        screen.summary(counted_by_exporter(parts.exporter.metrics_url), held_by_server(client))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="A Prefect server, a worker with flows, the exporter, Prometheus and"
        " Alertmanager on this machine, in a temporary folder, until Ctrl-C.",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_duration,
        metavar="TIME",
        help="end by itself so long after everything is ready: 90s, 5m, 1h",
    )
    return parser.parse_args()


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]


if __name__ == "__main__":
    sys.exit(main())
