"""The Prefect server itself: whether it answers, reaches its database, and which version it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from prefect_exporter.api import Api, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import ApiError, Rejected, Throttled
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.settings import Settings

_LACKING = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class Server:
    """What the server said of itself.

    Args:
        up: Whether it answered.
        ready: Whether it reaches its database; None where it has no route to say so.
        version: The last that it told.
    """

    up: bool
    ready: bool | None
    version: str | None
    truncated: bool = False
    folded: int = 0


def _up(state: Server) -> Samples:
    yield (), float(state.up)


def _ready(state: Server) -> Samples:
    if state.ready is not None:
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
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)

    async def poll(self, context: Context, previous: Server | None) -> Server:
        """Ask whether it is ready, then which version it is."""
        version = previous.version if previous else None
        try:
            ready = await _ready_if_told(context.api)
        except Throttled:
            # Not asked, or told to wait: that says nothing of whether it is up.
            raise
        except ApiError:
            untold = previous is not None and previous.ready is None
            return Server(up=False, ready=None if untold else False, version=version)
        # What /ready said stands, whatever becomes of the second question.
        with suppress(ApiError):
            version = version if ready is None else await context.api.version()
        return Server(up=True, ready=ready, version=version)


async def _ready_if_told(api: Api) -> bool | None:
    """Return whether the server is ready; None where it answers and has no route to say so."""
    try:
        return await api.ready()
    except Rejected as error:
        if error.status not in _LACKING:
            raise
    # Prefect Cloud documents no such route, and a wrong address has none either: what every
    # Prefect answers tells them apart.
    await api.count_flow_runs(RunFilter(state_types=("RUNNING",)))
    return None
