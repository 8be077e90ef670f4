"""The process around the routes: the socket, uvicorn, and an end on SIGTERM that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Protocol, Self

import structlog
import uvicorn
from fastapi import FastAPI

from prefect_exporter.errors import ExporterError
from prefect_exporter.server import Auth, Front, create_app
from prefect_exporter.settings import PREFIX, Settings
from prefect_exporter.values import Address

GRACE_SECONDS = 3

_log = structlog.get_logger(__name__)


class CannotListen(ExporterError):
    """The listen address is taken, not this machine's, or not allowed."""


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


def bind(address: Address) -> socket.socket:
    """Return a socket that listens on *address*.

    Raises:
        CannotListen: With one line that names the setting.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
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
            f"give {PREFIX}LISTEN_ADDRESS an address that is free on this machine"
        ) from None
    return listener


async def serve(settings: Settings, service: Service) -> None:
    """Serve and poll until SIGTERM or SIGINT, then end both within seconds.

    Raises:
        CannotListen: Before the ledger is touched.
        LedgerError: Where *service* cannot be entered.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.closing(bind(settings.listen_address)) as listener:
        async with service:
            app = create_app(service, auth=Auth(settings.basic_auth, settings.bearer_token))
            address = str(Address(*listener.getsockname()[:2]))
            _log.info("exporter.started", address=address, tls=settings.tls_cert_file is not None)
            await _run_until(stop, service, _uvicorn(app, settings), listener)
    _log.info("exporter.stopped")


async def _run_until(
    stop: asyncio.Event, service: Service, server: uvicorn.Server, listener: socket.socket
) -> None:
    answers = asyncio.create_task(server.serve(sockets=[listener]))
    polls = asyncio.create_task(service.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({answers, polls, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        polls.cancel()
        stopped.cancel()
        ends = await asyncio.gather(answers, polls, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


def _uvicorn(app: FastAPI, settings: Settings) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
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
    )


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to ``serve``, which has more to end than connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change no signal handler."""
        yield
