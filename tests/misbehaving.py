"""A Prefect server on loopback that behaves as recorded, until it is told to misbehave."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, partial
from http.client import responses
from typing import Self

import msgspec

from recorded import RecordedPrefect

Headers = Mapping[str, str]
Canned = tuple[int, Headers, bytes]

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_BEGUN = b'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n[{"id":'
_HOST = "127.0.0.1"
_MIB = 1024 * 1024
_TOO_LONG_MIB = 80


class Fault(StrEnum):
    """The ways in which a server, a proxy or a network lets us down."""

    REFUSED = "refused"
    RESET_MID_BODY = "reset_mid_body"
    ENDS_MID_BODY = "ends_mid_body"
    NOT_HTTP = "not_http"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN_CSRF = "forbidden_csrf"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    PAGE_TOO_LONG = "page_too_long"
    UNPROCESSABLE = "unprocessable"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    WEB_PAGE = "web_page"
    EMPTY = "empty"
    TRUNCATED_JSON = "truncated_json"
    WRONG_TYPES = "wrong_types"
    WRONG_SHAPE = "wrong_shape"
    DRIPS_FOREVER = "drips_forever"
    NEVER_ANSWERS = "never_answers"
    HUGE = "huge"
    GZIP_BOMB = "gzip_bomb"
    NOT_GZIP = "not_gzip"
    REDIRECT = "redirect"


_CANNED: dict[Fault, Canned] = {
    Fault.UNAUTHORIZED: (401, _JSON, b'{"exception_message":"Unauthorized"}'),
    Fault.FORBIDDEN_CSRF: (403, _JSON, b'{"detail":"Missing CSRF token."}'),
    Fault.FORBIDDEN: (403, _JSON, b'{"detail":"Forbidden"}'),
    Fault.NOT_FOUND: (404, _JSON, b'{"detail":"Not Found"}'),
    Fault.PAGE_TOO_LONG: (422, _JSON, b'{"detail":"Invalid limit: less than or equal to 100."}'),
    Fault.UNPROCESSABLE: (422, _JSON, b'{"exception_message":"Invalid request received."}'),
    Fault.SERVER_ERROR: (500, _JSON, b'{"exception_message":"Internal Server Error"}'),
    Fault.BAD_GATEWAY: (502, _HTML, b"<html><h1>502 Bad Gateway</h1></html>"),
    Fault.UNAVAILABLE: (503, _JSON, b'{"exception_message":"Service Unavailable"}'),
    Fault.WEB_PAGE: (200, _HTML, b"<!doctype html><title>Prefect Server</title>"),
    Fault.EMPTY: (200, _JSON, b""),
    Fault.TRUNCATED_JSON: (200, _JSON, b'[{"id":"fed145de-fcf9-452f-b99a-2'),
    Fault.WRONG_TYPES: (200, _JSON, b'[{"id":17,"name":false,"run_count":"hunter2"}]'),
    Fault.WRONG_SHAPE: (200, _JSON, b'{"rows":["hunter2"]}'),
    Fault.NOT_GZIP: (200, {**_JSON, "content-encoding": "gzip"}, b"[]"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; *path* holds the query too, and header names are in lower case."""

    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass
class MisbehavingPrefect:
    """An asynchronous context manager; ``url`` is what ``PREFECT_API_URL`` would be.

    Args:
        prefect: The answers while it behaves.
        retry_after: The header of ``Fault.THROTTLED``.
        tls: Makes it speak HTTPS.
    """

    prefect: RecordedPrefect = field(default_factory=RecordedPrefect)
    retry_after: str = "1"
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    seen_elsewhere: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fault: Fault | None = None
        self._next: deque[Fault | None] = deque()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._port = 0
        self._streams: dict[Fault, Callable[[asyncio.StreamWriter], Awaitable[object]]] = {
            Fault.RESET_MID_BODY: _reset_mid_body,
            Fault.ENDS_MID_BODY: partial(_say_and_leave, _BEGUN),
            Fault.NOT_HTTP: partial(_say_and_leave, b"SSH-2.0-OpenSSH_9.2\r\n"),
            Fault.DRIPS_FOREVER: _drip,
            Fault.NEVER_ANSWERS: lambda _: asyncio.Event().wait(),
            Fault.HUGE: _send_too_much,
            Fault.GZIP_BOMB: _send_bomb,
        }

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"{'https' if self.tls else 'http'}://{_HOST}:{self._port}/api"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        welcome = partial(self._converse, self.seen_elsewhere, _welcome)
        self._elsewhere = await asyncio.start_server(welcome, _HOST, 0)
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._elsewhere.close()
        await self._hang_up()
        await self._elsewhere.wait_closed()

    async def misbehave(self, fault: Fault) -> None:
        """Answer every request with *fault* from now on."""
        self._fault = fault
        if fault is Fault.REFUSED:
            await self._hang_up()

    async def behave(self) -> None:
        """Answer as recorded from now on, at the same address."""
        self._fault = None
        await self._listen()

    def script(self, *steps: Fault | None) -> None:
        """Answer the next requests so, one step each; None behaves. Not for ``REFUSED``."""
        self._next.extend(steps)

    async def _listen(self) -> None:
        if self._server is None:
            serve = partial(self._converse, self.requests, self._answer)
            self._server = await asyncio.start_server(serve, _HOST, self._port, ssl=self.tls)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if server is not None:
            await server.wait_closed()

    async def _converse(
        self,
        seen: list[Request],
        answer: Callable[[Request, asyncio.StreamWriter], Awaitable[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            # The client may leave at any moment: that is what most of these answers are for. And
            # asyncio's streams log a cancelled conversation as an error of theirs.
            left = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
            with suppress(*left):
                while not writer.is_closing():
                    request = await _read_request(reader)
                    seen.append(request)
                    await answer(request, writer)
        finally:
            del self._connections[task]
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = self._next.popleft() if self._next else self._fault
        if fault in self._streams:
            await self._streams[fault](writer)
        else:
            await _respond(writer, self._canned(fault, request))

    def _canned(self, fault: Fault | None, request: Request) -> Canned:
        match fault:
            case None:
                return self._recorded(request)
            case Fault.THROTTLED:
                return 429, {**_JSON, "retry-after": self.retry_after}, b"{}"
            case Fault.REDIRECT:
                port = self._elsewhere.sockets[0].getsockname()[1]
                target = f"http://localhost:{port}{request.path}?token=hunter2"
                return 302, {"location": target}, b""
            case Fault.FORBIDDEN_CSRF if "/csrf-token" in request.path:
                return self._recorded(request)
            case _:
                return _CANNED[fault]

    def _recorded(self, request: Request) -> Canned:
        path, _, query = request.path.partition("?")
        route = path.removeprefix("/api/")
        status, value = self.prefect.answer(route, query, request.body)
        body = msgspec.json.encode(value)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return status, {**_JSON, "content-encoding": "gzip"}, gzip.compress(body, 1)
        return status, _JSON, body


async def _welcome(_: Request, writer: asyncio.StreamWriter) -> None:
    await _respond(writer, (200, _JSON, b"[]"))


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def _respond(writer: asyncio.StreamWriter, canned: Canned) -> None:
    status, headers, body = canned
    writer.write(_head(status, {**headers, "content-length": str(len(body))}) + body)
    await writer.drain()


def _head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses[status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _reset_mid_body(writer: asyncio.StreamWriter) -> None:
    writer.write(_BEGUN)
    await writer.drain()
    connection: socket.socket = writer.get_extra_info("socket")
    # With no time to linger the kernel sends a reset in place of a farewell.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _say_and_leave(said: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(said)
    await writer.drain()
    writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, {**_JSON, "transfer-encoding": "chunked"}))
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _send_too_much(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, {**_JSON, "content-length": str(_TOO_LONG_MIB * _MIB)}))
    for _ in range(_TOO_LONG_MIB):
        writer.write(b" " * _MIB)
        await writer.drain()


async def _send_bomb(writer: asyncio.StreamWriter) -> None:
    await _respond(writer, (200, {**_JSON, "content-encoding": "gzip"}, _bomb()))


@cache
def _bomb() -> bytes:
    """A gzip of a few kilobytes that unpacks to spaces without a visible end."""
    deflate = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    block = b" " * _MIB
    parts = [deflate.compress(block) for _ in range(_TOO_LONG_MIB)]
    return b"".join([*parts, deflate.flush()])
