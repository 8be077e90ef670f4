"""A Prefect API of our own making, for what a real server does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Row = dict[str, Any]
Answer = tuple[int, Mapping[str, str], bytes]


def row(name: str, **fields: object) -> Row:
    """Return a row with an id of its own, and with what only Prefect Cloud has."""
    cloud = {"account": "x", "workspace": "y", "actor": {"id": "z"}}
    return {"id": str(uuid5(NAMESPACE_URL, ascii(name))), "name": name, **cloud, **fields}


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer of JSON; `_` in the names of *headers* stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return status, {"content-type": "application/json", **named}, json.dumps(value).encode()


@dataclass
class ObjectsServer:
    """A server that answers from tables.

    Args:
        tables: The rows of each filter route; a route that is not there has none.
        authorization: The header that it asks for; None for none.
        page: The most rows it gives at once.
        scripts: What it answers to a route instead, one after the other, the last for ever.
    """

    tables: dict[str, list[Row]] = field(default_factory=dict)
    authorization: str | None = None
    page: int = 200
    scripts: dict[str, list[Answer | Callable[[Row], Answer]]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str], Row]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, headers: Mapping[str, str], body: Row) -> Answer:
        """Return what the server says to a request."""
        self.asked.append((path, headers, body))
        if self.authorization and headers.get("Authorization") != self.authorization:
            return answer({"detail": "Unauthorized"}, 401)
        if script := self.scripts.get(path):
            step = script.pop(0) if len(script) > 1 else script[0]
            return step(body) if callable(step) else step
        if body.get("limit", 0) > self.page:
            detail = f"Invalid limit: must be less than or equal to {self.page}."
            return answer({"detail": detail}, 422)
        start = body.get("offset", 0)
        return answer(self.tables.get(path, [])[start : start + body.get("limit", 200)])

    def paths(self) -> list[str]:
        """Return what was asked for, in order."""
        return [path for path, _, _ in self.asked]


@contextmanager
def serving(server: ObjectsServer) -> Iterator[ObjectsServer]:
    """Let a server answer on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length) or b"{}")
            path = self.path.removeprefix("/api/").partition("?")[0]
            status, headers, content = server.answer(path, dict(self.headers), body)
            self.send_response(status)
            for name, text in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - as the library wants it
        do_PATCH = do_POST  # noqa: N815 - as above

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/api"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
