"""A front of a Prefect server that answers badly where the labels of flow runs are stored."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Answer: TypeAlias = Literal[404, 500, 503, "none"]

_LABELS = re.compile(r"/api/flow_runs/[^/]+/labels")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class LabelsFront(ThreadingHTTPServer):
    """Hands everything on to a server, but answers itself for labels; `none` is no answer.

    Args:
        server: the address behind, as `PREFECT_API_URL` has it.
        answer: to each request that would store labels.
    """

    daemon_threads = True

    def __init__(self, server: str, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        address = urlsplit(server)
        self.behind = (str(address.hostname), address.port or 80)
        self.answer = answer
        self.asked = 0
        self.closed = Event()

    @property
    def api_url(self) -> str:
        """What `PREFECT_API_URL` would be."""
        return f"http://127.0.0.1:{self.server_port}/api"


@contextmanager
def labels_front(server: str, answer: Answer) -> Iterator[LabelsFront]:
    """Listen on loopback until left."""
    with LabelsFront(server, answer) as front:
        thread = Thread(target=front.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield front
        finally:
            front.closed.set()
            front.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LabelsFront
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._splice()
        elif self.command == "PATCH" and _LABELS.fullmatch(self.path):
            self._refuse()
        else:
            self._hand_on()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 - the base's names

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        if self.server.answer == "none":
            self.server.closed.wait()
            self.close_connection = True
            return
        self._answer(self.server.answer, [("Content-Type", "application/json")], b"{}")

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = HTTPConnection(*self.server.behind, timeout=60)
        with suppress(OSError):  # whoever asked hears of it by a closed connection
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            kept = [each for each in answer.getheaders() if each[0].lower() not in _HOP_BY_HOP]
            self._answer(answer.status, kept, answer.read())
        behind.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _splice(self) -> None:
        self.close_connection = True
        with socket.create_connection(self.server.behind) as behind:
            lines = [f"{self.command} {self.path} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in self.headers.items()]
            behind.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            back = threading.Thread(target=_copy, args=(behind, self.connection), daemon=True)
            back.start()
            _copy(self.connection, behind)
            back.join()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
