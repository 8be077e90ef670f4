"""The Prefect server itself: whether it answers, reaches its database, and which version it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import ApiError, Throttled
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """What the server said of itself; *version* is the last that it told."""

    up: bool
    ready: bool
    version: str | None
    truncated: bool = False


def _up(state: Server) -> Samples:
    yield (), float(state.up)


def _ready(state: Server) -> Samples:
    yield (), float(state.ready)


def _info(state: Server) -> Samples:
    if state.version is not None:
        yield (state.version,), 1.0


class ServerCollector:
    """Ask the routes that cost nothing; here, no answer is an answer: the server is down."""

    name = "server"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_server_up",
            Kind.GAUGE,
            "Whether the Prefect API gave a usable answer the last time it was asked.",
            (),
            _up,
        ),
        Family(
            "prefect_server_ready",
            Kind.GAUGE,
            "Whether it said that it reaches its database.",
            (),
            _ready,
        ),
        Family(
            "prefect_server_info",
            Kind.GAUGE,
            "The version of the Prefect server.",
            ("version",),
            _info,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.poll_interval_seconds

    async def poll(self, context: Context, previous: Server | None) -> Server:
        """Ask whether it is ready, then which version it is."""
        version = previous.version if previous else None
        try:
            ready = await context.api.ready()
        except Throttled:
            # Not asked, or told to wait: that says nothing of whether it is up.
            raise
        except ApiError:
            return Server(up=False, ready=False, version=version)
        # What /ready said stands, whatever becomes of the second question.
        with suppress(ApiError):
            version = await context.api.version()
        return Server(up=True, ready=ready, version=version)
