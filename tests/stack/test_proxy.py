"""deploy/prefect/haproxy.cfg before replicas that die, with a real HAProxy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, cast

import httpx
import pytest
import yaml

from demo.processes import Program, answers_at, free_port, wait_until
from demo.sandbox import Sandbox

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = _ROOT / "deploy" / "prefect" / "haproxy.cfg"
_IMAGE = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["x-images"]["haproxy"]

pytestmark = pytest.mark.stack


class _Quiet(ThreadingHTTPServer):
    """One that does not complain of health checks that hang up early."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class _Replica:
    """A server that answers as told, and remembers what it was asked.

    Args:
        ready: What it says on /api/ready.
        serving: What it says on /serving: whether it wants requests.
        breaks_off: Whether it hangs up on any other request after it has read it.
    """

    ready: bool = True
    serving: bool = True
    breaks_off: bool = False
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    def has(self, path: str) -> bool:
        """Return whether it has received a request for *path*."""
        return any(one == path for _, one, _ in self.asked)

    def serve(self) -> ThreadingHTTPServer:
        """Start it; the caller shuts it down."""
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

            def handle_any(self) -> None:
                """Answer one request."""
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/api/ready":
                    self.answer(200 if replica.ready else 503)
                    return
                if self.path == "/serving":
                    self.answer(200 if replica.serving else 404)
                    return
                replica.asked.append((self.command, self.path, dict(self.headers)))
                if replica.breaks_off:
                    self.close_connection = True
                elif self.headers.get("Upgrade"):
                    self.echo()
                else:
                    self.answer(200)

            do_GET = do_POST = handle_any  # noqa: N815  # the names that the base class calls

            def answer(self, status: int) -> None:
                """Send a short body."""
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def echo(self) -> None:
                """Switch protocols, and send back the first line that comes."""
                self.send_response(101)
                self.send_header("Connection", "Upgrade")
                self.send_header("Upgrade", "websocket")
                key = f"{self.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                accept = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
                self.end_headers()
                self.wfile.write(self.rfile.readline())
                self.close_connection = True

        server = _Quiet(("127.0.0.1", self.port), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server


@dataclass(frozen=True)
class _Proxy:
    """HAProxy before two replicas."""

    url: str
    metrics_url: str
    replicas: tuple[_Replica, _Replica]
    log: Path

    def asked(self, path: str) -> int:
        """Return how often replicas have received a request for *path*."""
        return sum(one == path for replica in self.replicas for _, one, _ in replica.asked)

    def lines(self, path: str) -> list[dict[str, object]]:
        """Return the log lines about *path*, once there is one."""

        def found() -> list[dict[str, object]]:
            # Without what may be half written: the last line, before its line feed.
            whole, _, _ = self.log.read_text().rpartition("\n")
            lines = [one for one in whole.splitlines() if one.startswith("{")]
            return [line for line in map(json.loads, lines) if line["path"] == path]

        wait_until(lambda: bool(found()), within=60, what=f"a line about {path}")
        return found()


@pytest.fixture(name="proxy", scope="module")
def _proxy() -> Iterator[_Proxy]:
    """The proxy with its own configuration, but for the addresses."""
    replicas = _Replica(), _Replica()
    servers = [replica.serve() for replica in replicas]
    try:
        with Sandbox() as sandbox:
            yield _start(sandbox, replicas)
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _start(sandbox: Sandbox, replicas: tuple[_Replica, _Replica]) -> _Proxy:
    port, metrics = free_port(), free_port()
    text = _CONFIGURATION.read_text()
    text = text.replace("bind :4200", f"bind 127.0.0.1:{port}")
    text = text.replace("bind :8405", f"bind 127.0.0.1:{metrics}")
    # To one port both, as they share an address.
    text, changed = re.subn(r"(http-check connect) port \d+", r"\1", text)
    assert changed == 2
    servers = "\n".join(
        f"    server replica{number} 127.0.0.1:{replica.port}"
        for number, replica in enumerate(replicas)
    )
    text, changed = re.subn(r"^    server-template .*$", servers, text, flags=re.MULTILINE)
    assert changed == 1
    folder = sandbox.subfolder("haproxy")
    folder.chmod(0o755)
    (folder / "haproxy.cfg").write_text(text)
    program = Program(
        name="haproxy",
        argv=[*_haproxy(folder), "-W", "-db", "-f", str(folder / "haproxy.cfg")],
        env=sandbox.environment(),
        ready=answers_at(f"http://127.0.0.1:{port}/api/ready"),
    )
    log = sandbox.start(program).log
    addresses = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics"
    return _Proxy(*addresses, replicas, log)


def _haproxy(folder: Path) -> list[str]:
    mount = f"{folder}:{folder}:ro"
    return ["docker", "run", "--rm", "--init", "--network=host", "-v", mount, _IMAGE, "haproxy"]


@pytest.fixture(name="both", autouse=True)
def _both(proxy: _Proxy) -> None:
    """Each test begins with two replicas that the proxy holds for ready."""
    wait_until(lambda: _ready(proxy) == 2, within=30, what="two replicas")


def _ready(proxy: _Proxy) -> int:
    metrics = httpx.get(proxy.metrics_url).text
    found = re.search(r'haproxy_backend_active_servers{proxy="replicas"} (\d)', metrics)
    return int(found[1]) if found else 0


@pytest.fixture(name="dying")
def _dying(proxy: _Proxy) -> Iterator[None]:
    """The first replica reads requests and never answers; its health check has not seen it yet."""
    proxy.replicas[0].breaks_off = True
    yield
    proxy.replicas[0].breaks_off = False


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/flows/1"), ("POST", "/api/flow_runs/filter"), ("POST", "/api/flow_runs/count")],
)
def test_a_dying_replica_is_unseen_by_who_reads(proxy: _Proxy, method: str, path: str) -> None:
    """The other one answers, whichever was asked first."""
    answers = [httpx.request(method, proxy.url + path, json={}) for _ in range(6)]

    assert {200} == {answer.status_code for answer in answers}


@pytest.mark.usefixtures("dying")
def test_what_creates_something_is_asked_once(proxy: _Proxy) -> None:
    """A POST that may have been carried out is not sent to another replica."""
    path = "/api/deployments/1/create_flow_run"

    answers = [httpx.post(proxy.url + path, json={}) for _ in range(6)]

    assert proxy.asked(path) == len(answers)
    assert 502 in {answer.status_code for answer in answers}
    assert "look before you repeat it" in next(a.text for a in answers if a.status_code == 502)


def test_without_a_ready_replica_it_says_so_in_plain_words(proxy: _Proxy) -> None:
    """503, with what to look at; and it recovers by itself."""
    for replica in proxy.replicas:
        replica.ready = False
    try:
        _until(proxy, 503)
        answer = httpx.get(f"{proxy.url}/api/flows/1")
    finally:
        for replica in proxy.replicas:
            replica.ready = True
    _until(proxy, 200)

    assert answer.status_code == 503
    assert "No replica of the Prefect server is ready" in answer.text


def _until(proxy: _Proxy, status: int) -> None:
    wait_until(
        lambda: httpx.get(f"{proxy.url}/api/flows/1").status_code == status,
        within=30,
        what=f"status {status}",
    )


def _wire(proxy: _Proxy) -> socket.socket:
    host, port = proxy.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_replica_that_leaves_gets_nothing_new_and_finishes_what_it_has(proxy: _Proxy) -> None:
    """An open websocket goes on, new requests go to the other one, and then it may come back."""
    with _websocket(proxy) as stream:
        leaving = next(one for one in proxy.replicas if one.has("/api/events/in"))
        leaving.serving = False
        try:
            wait_until(lambda: _ready(proxy) == 1, within=60, what="one replica")
            leaving.asked.clear()
            answers = [httpx.post(f"{proxy.url}/api/flows/") for _ in range(6)]
            stream.write(b"ping\n")
            stream.flush()
            echoed = stream.readline()
        finally:
            leaving.serving = True

    assert {200} == {answer.status_code for answer in answers}
    assert [] == leaving.asked
    assert echoed == b"ping\n"


def test_a_websocket_passes(proxy: _Proxy) -> None:
    """The protocol is switched, and bytes go both ways."""
    with _websocket(proxy) as stream:
        stream.write(b"ping\n")
        stream.flush()

        assert stream.readline() == b"ping\n"


@contextmanager
def _websocket(proxy: _Proxy) -> Iterator[BinaryIO]:
    """Switch protocols; a replica has been asked for it anew."""
    request = (
        "GET /api/events/in HTTP/1.1\r\nHost: prefect\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        f"{base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    )
    for replica in proxy.replicas:
        replica.asked.clear()
    with _wire(proxy) as wire:
        stream = cast("BinaryIO", wire.makefile("rwb"))
        stream.write(request.encode())
        stream.flush()
        head = iter(stream.readline, b"\r\n")
        assert next(head).startswith(b"HTTP/1.1 101")
        list(head)
        yield stream


def test_the_log_holds_no_secret_and_stays_json(proxy: _Proxy) -> None:
    """Neither the query nor a header is written, and no path breaks a line."""
    path = '/api/"\\x'
    url = f"{proxy.url}/api/?token=in-the-query"
    httpx.get(url, headers={"Authorization": "Basic in-the-header"})
    with _wire(proxy) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        wire.makefile("rb").read()

    [line] = proxy.lines(path)
    assert (line["method"], line["status"]) == ("GET", 200)
    assert proxy.lines("/api/")
    assert "in-the-" not in proxy.log.read_text()


def test_a_replica_learns_who_asked(proxy: _Proxy) -> None:
    """X-Forwarded-For and -Proto are there; a proxy in front may say that TLS was used."""
    for name, value in (("plain", "http"), ("tls", "https")):
        httpx.get(f"{proxy.url}/api/{name}", headers={"X-Forwarded-Proto": value})

    seen = {path: headers for one in proxy.replicas for _, path, headers in one.asked}
    assert seen["/api/plain"]["x-forwarded-proto"] == "http"
    assert seen["/api/tls"]["x-forwarded-proto"] == "https"
    assert seen["/api/tls"]["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("header", "status"),
    [("Content-Length: 10485761", 413), ("Transfer-Encoding: chunked", 411)],
    ids=["long", "unknown"],
)
def test_a_body_is_bounded(proxy: _Proxy, header: str, status: int) -> None:
    """No replica gets to see one that is too long, or that does not say how long it is."""
    with _wire(proxy) as wire:
        wire.sendall(f"POST /api/bounded HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        answer = wire.makefile("rb").readline()

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert proxy.asked("/api/bounded") == 0


def test_it_tells_of_itself(proxy: _Proxy) -> None:
    """Metrics at their own address, and nothing else there."""
    assert _ready(proxy) == 2
    assert httpx.get(proxy.metrics_url.removesuffix("metrics")).status_code == 404
