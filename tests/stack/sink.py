"""A webhook that remembers what it was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Sink:
    """Where it listens, and the JSON that arrived, in order."""

    url: str
    received: list[Any] = field(default_factory=list)


@contextmanager
def sink(host: str) -> Iterator[Sink]:
    """Listen on a free port of *host*, an address of this machine, until the block ends."""

    class _Handler(BaseHTTPRequestHandler):
        into: ClassVar[list[Any]] = []

        def do_POST(self) -> None:
            self.into.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), _Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Sink(f"http://{host}:{server.server_port}/", _Handler.into)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
