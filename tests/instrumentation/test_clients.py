"""Outgoing requests: the user's carry the trace on, and Prefect's own stay as they are."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import requests
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.environment_variables import (
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS,
)
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.orchestration import PrefectClient, SyncPrefectClient

from prefect_instrumentation._clients import activate_clients, deactivate_clients
from prefect_instrumentation._prefect import uninstrument
from prefect_instrumentation._setup import instrument
from web_apps import Recorder, own_header


class Listener:
    """A real HTTP server that answers `{}` and keeps what it was asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str]]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                self.rfile.read(length)
                heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_GET  # noqa: N815 - the name in the standard library

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "http://{}:{}".format(*self.server.server_address[:2])
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop to listen."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Return a listener on a free port of this machine."""
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Return a recorder, and leave all clients as they were."""
    made = Recorder()
    yield made
    deactivate_clients()
    made.provider.shutdown()


def send_by_httpx(url: str) -> None:
    """Do as most users of httpx do."""
    httpx.get(url)


def send_by_async_httpx(url: str) -> None:
    """Do as an async task does."""

    async def send() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    asyncio.run(send())


def send_by_requests(url: str) -> None:
    """Do as most users of requests do."""
    requests.get(url, timeout=5)


SENDERS = [send_by_httpx, send_by_async_httpx, send_by_requests]


@pytest.mark.parametrize("send", SENDERS)
def test_users_requests_carry_trace_and_baggage(
    recorder: Recorder, listener: Listener, send: Callable[[str], None]
) -> None:
    """A request from inside a span has a CLIENT span below it, and that span's traceparent."""
    activate_clients(recorder.provider, environ={})
    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))

    with recorder.provider.get_tracer("test").start_as_current_span("task load") as task:
        send(f"{listener.address}/rates")
    otel_context.detach(token)

    client, _ = recorder.ended
    ((path, headers),) = listener.heard
    assert "/rates" == path
    assert SpanKind.CLIENT is client.kind
    assert task.get_span_context() == client.parent
    assert own_header(client) == headers["traceparent"]
    assert "tenant=acme" == headers["baggage"]


@pytest.fixture(name="instrumented")
def _instrumented(recorder: Recorder) -> Iterator[None]:
    instrument(tracer_provider=recorder.provider)
    yield
    uninstrument()


def ask_prefect(address: str) -> None:
    """Let both of Prefect's clients talk to their API."""

    async def ask() -> None:
        async with PrefectClient(f"{address}/api") as client:
            await client.hello()

    asyncio.run(ask())
    with SyncPrefectClient(f"{address}/api") as client:
        client.hello()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("by", ["us", "another"])
def test_prefects_own_requests_make_no_spans(
    recorder: Recorder, listener: Listener, by: str
) -> None:
    """Whoever has instrumented httpx, what Prefect asks its API appears in no trace."""
    if by == "another":
        HTTPXClientInstrumentor().instrument(tracer_provider=recorder.provider)
    activate_clients(recorder.provider, environ={})

    with recorder.provider.get_tracer("test").start_as_current_span("task load"):
        ask_prefect(listener.address)
        httpx.get(f"{listener.address}/rates")
    if by == "another":
        HTTPXClientInstrumentor().uninstrument()

    assert ["GET", "task load"] == [span.name for span in recorder.ended]
    assert {"/api/hello", "/rates"} <= {path for path, _ in listener.heard}
    assert ["/rates"] == [path for path, headers in listener.heard if "traceparent" in headers]


def test_exporter_by_http_makes_no_spans_of_its_own(recorder: Recorder, listener: Listener) -> None:
    """Spans that are sent by HTTP do not become spans: that would never end."""
    activate_clients(recorder.provider, environ={})
    exporter = OTLPSpanExporter(f"{listener.address}/v1/traces")
    recorder.provider.add_span_processor(BatchSpanProcessor(exporter))

    recorder.provider.get_tracer("test").start_span("task load").end()
    recorder.provider.force_flush()

    assert ["/v1/traces"] == [path for path, _ in listener.heard]
    assert ["task load"] == [span.name for span in recorder.ended]


@pytest.mark.parametrize("value", ["httpx,requests", " requests , httpx ", "*"])
def test_disabled_libraries_stay_as_they_are(
    recorder: Recorder, listener: Listener, value: str
) -> None:
    """OpenTelemetry's variable that turns instrumentations off holds for ours too."""
    activate_clients(recorder.provider, environ={OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: value})

    for send in SENDERS:
        send(listener.address)

    assert () == recorder.ended
    assert not any("traceparent" in headers for _, headers in listener.heard)


def test_instrumented_libraries_are_not_instrumented_again(
    recorder: Recorder, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """Where somebody else was first, there is one span a request, and no warning."""
    RequestsInstrumentor().instrument(tracer_provider=recorder.provider)
    activate_clients(recorder.provider, environ={})
    activate_clients(recorder.provider, environ={})

    send_by_requests(listener.address)
    send_by_httpx(listener.address)
    deactivate_clients()
    send_by_requests(listener.address)
    RequestsInstrumentor().uninstrument()

    assert ["GET", "GET", "GET"] == [span.name for span in recorder.ended]
    assert [] == caplog.records


def test_deactivation_ends_the_spans_of_requests(recorder: Recorder, listener: Listener) -> None:
    """Afterwards no request is traced."""
    activate_clients(recorder.provider, environ={})

    deactivate_clients()
    for send in SENDERS:
        send(listener.address)

    assert () == recorder.ended


def test_uninstrumented_prefect_sends_as_before(recorder: Recorder) -> None:
    """Prefect's clients are changed while Prefect is instrumented, and are then as they were."""
    uninstrument()
    clients = (PrefectHttpxAsyncClient, PrefectHttpxSyncClient)
    before = [id(vars(client)["send"]) for client in clients]
    instrument(tracer_provider=recorder.provider)
    changed = [id(vars(client)["send"]) for client in clients]
    uninstrument()

    assert set(before).isdisjoint(changed)
    assert before == [id(vars(client)["send"]) for client in clients]


@pytest.mark.usefixtures("instrumented")
def test_errors_of_prefects_requests_pass_unchanged(recorder: Recorder) -> None:
    """A refused connection to the API raises what it raises without us, and leaves no span."""
    activate_clients(recorder.provider, environ={})

    with SyncPrefectClient("http://127.0.0.1:9/api") as client, pytest.raises(httpx.ConnectError):
        client.hello()

    assert () == recorder.ended


def test_a_library_that_is_not_used_is_not_imported() -> None:
    """Activation imports neither requests nor what instruments it, until somebody does."""
    code = """
import json, sys
from prefect_instrumentation._clients import activate_clients
activate_clients(environ={})
wanted = ["requests", "httpx", "opentelemetry.instrumentation.requests"]
before = [name for name in wanted if name in sys.modules]
import requests
after = [name for name in wanted if name in sys.modules]
print(json.dumps([before, after]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert [[], ["requests", "opentelemetry.instrumentation.requests"]] == json.loads(result.stdout)
