"""The process around the routes: sockets, uvicorn, and an end on SIGTERM that loses nothing.

Whoever reaches the address may connect, so connections are few and wait for nobody for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from prefect_exporter.errors import ExporterError
from prefect_exporter.reports import Reports
from prefect_exporter.routes import METRICS, PAGE, Front
from prefect_exporter.runbooks import packaged_alerts
from prefect_exporter.server import Auth, create_app
from prefect_exporter.settings import PREFIX, Settings
from prefect_exporter.values import Address

GRACE_SECONDS = 3

_log = structlog.get_logger(__name__)


class CannotListen(ExporterError):
    """The listen address is taken, not this machine's, or not allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may connect, and how long each is waited for.

    Args:
        connections: How many are served at a time; for one more, the longest idle is closed.
        request_seconds: From the connection, or from its last answer, to a whole request head.
        answer_seconds: How long a client may take to read an answer.
    """

    connections: int = 64
    request_seconds: float = 10.0
    answer_seconds: float = 60.0


class Service(Front, Protocol):
    """The exporter's inside: entered before it polls, left when every poll has ended."""

    async def __aenter__(self) -> Self:
        """Open what is needed; raises ``LedgerError`` where the ledger is not usable."""
        ...

    async def __aexit__(self, *_exception: object) -> None:
        """Close it again."""
        ...

    async def run(self) -> None:
        """Poll until cancelled."""
        ...


def bind(
    address: Address, limits: Limits | None = None, setting: str = "LISTEN_ADDRESS"
) -> socket.socket:
    """Return a socket that listens on *address*, and accepts no more than *limits* let it.

    Raises:
        CannotListen: With one line that names the *setting*.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = _Listener(family, kind, protocol)
        listener.most = 2 * (limits or Limits()).connections
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            # Two sockets may share an address until one listens: only now is it ours.
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotListen(
            f"cannot listen on {address}: {reason}; "
            f"give {PREFIX}{setting} an address that is free on this machine"
        ) from None
    return listener


async def serve(settings: Settings, service: Service, limits: Limits | None = None) -> None:
    """Serve and poll until SIGTERM or SIGINT, then end both within seconds.

    Raises:
        CannotListen: Before the ledger is touched.
        LedgerError: Where *service* cannot be entered.
    """
    limits = limits or Limits()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as sockets:
        listeners = [
            sockets.enter_context(contextlib.closing(bind(address, limits, setting)))
            for setting, address, _ in _doors(settings)
        ]
        async with service:
            auth = Auth(settings.basic_auth, settings.bearer_token)
            alerts, reports = packaged_alerts(), Reports(settings.report_folder)
            apps = [
                create_app(service, auth=auth, parts=parts, alerts=alerts, reports=reports)
                for _, _, parts in _doors(settings)
            ]
            servers = [_Server(_config(app, settings), limits) for app in apps]
            _tell_started(listeners, settings)
            await _run_until(stop, service, zip(servers, listeners, strict=True))
    _log.info("exporter.stopped")


def _doors(settings: Settings) -> list[tuple[str, Address, Collection[str]]]:
    """Return each setting that is an address to listen on, the address, and what is there."""
    if settings.metrics_address is None:
        return [("LISTEN_ADDRESS", settings.listen_address, (METRICS, PAGE))]
    return [
        ("LISTEN_ADDRESS", settings.listen_address, (PAGE,)),
        ("METRICS_ADDRESS", settings.metrics_address, (METRICS,)),
    ]


def _tell_started(listeners: Sequence[socket.socket], settings: Settings) -> None:
    addresses = [str(Address(*listener.getsockname()[:2])) for listener in listeners]
    _log.info(
        "exporter.started",
        address=addresses[0],
        metrics_address=addresses[-1],
        tls=settings.tls_cert_file is not None,
    )


async def _run_until(
    stop: asyncio.Event,
    service: Service,
    doors: Iterable[tuple[uvicorn.Server, socket.socket]],
) -> None:
    servers = dict(doors)
    answers = [asyncio.create_task(each.serve(sockets=[at])) for each, at in servers.items()]
    polls = asyncio.create_task(service.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*answers, polls, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for server in servers:
            server.should_exit = True
        polls.cancel()
        stopped.cancel()
        ends = await asyncio.gather(*answers, polls, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
    )


class _Server(uvicorn.Server):
    """uvicorn with limits, which leaves the signals to ``serve``: that has more to end."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on *sockets* as uvicorn would, with our limits."""
        loop = asyncio.get_running_loop()
        patience = self._limits.request_seconds if self.config.ssl else None
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=each,
                backlog=self.config.backlog,
                ssl=self.config.ssl,
                ssl_handshake_timeout=patience,
            )
            for each in sockets or []
        ]
        self.started = True

    def _connection(self) -> _Connection:
        return _Connection(self._limits, config=self.config, server_state=self.server_state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change no signal handler."""
        yield


class _Listener(socket.socket):
    """A listening socket that hangs up on whoever comes while *most* connections are open.

    It counts where TLS handshakes count too, which uvicorn does not know of.
    """

    most: int

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*arguments)
        self._accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; raises ``ConnectionAbortedError`` where there are enough.

        To asyncio that is a client that went away: it writes no line, and goes on.
        """
        connection, address = super().accept()
        if sum(each.fileno() >= 0 for each in self._accepted) >= self.most:
            connection.close()
            raise ConnectionAbortedError
        self._accepted.add(connection)
        return connection, address


class _Connection(H11Protocol):
    """A connection that is closed where it asks nothing, or does not read what it asked for.

    uvicorn itself waits for a first request, and for the rest of one, without end.
    """

    def __init__(self, limits: Limits, **uvicorns: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(app_state={}, **uvicorns)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for a request, in the place of the longest idle if need be."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._deadline.cancel()
        self._await_request()
        super().on_response_complete()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_request(self) -> None:
        self._idle_since = self.loop.time()
        self._deadline = self.loop.call_later(self._limits.request_seconds, self._expire)

    def _expire(self) -> None:
        if self._is_idle:
            self.transport.abort()
        else:
            self._deadline = self.loop.call_later(self._limits.answer_seconds, self.transport.abort)

    def _make_room(self) -> None:
        connections = (each for each in self.connections if isinstance(each, _Connection))
        idle = [each for each in connections if each._is_idle]  # noqa: SLF001 - one of us
        longest = min(idle, key=lambda each: each._idle_since)  # noqa: SLF001 - one of us
        # Its own farewell comes later; until then others would choose it again.
        self.connections.discard(longest)
        longest.transport.abort()
