"""Web applications to ask, what they are asked, and the spans that this makes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.responses import Response

from prefect_instrumentation import _correlation
from prefect_instrumentation._asgi import ASGIApp, Message, Receive, Scope, Send

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
MINTED = re.compile(r"[0-9a-f]{32}")
QUIET = {"tracing": False, "metrics": False, "logs": False}


@dataclass
class Recorder:
    """Keeps the spans of a provider of its own."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    provider: TracerProvider = field(default_factory=TracerProvider)

    def __post_init__(self) -> None:
        """Send what the provider's tracers end to the exporter."""
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """All spans that have ended, in that order."""
        return self.exporter.get_finished_spans()

    @property
    def servers(self) -> list[ReadableSpan]:
        """The SERVER spans among them."""
        return [span for span in self.ended if span.kind is SpanKind.SERVER]

    @property
    def server(self) -> ReadableSpan:
        """The one SERVER span."""
        (span,) = self.servers
        return span


def ask(app: Any, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:  # noqa: ANN401 - any ASGI app, and what httpx takes
    """Return what the application answers in this process; its errors become the error page."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(request())


def own_header(span: ReadableSpan) -> str:
    """Return the `traceparent` of a recorded span."""
    context = span.context
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def is_sampled(response: httpx.Response) -> bool:
    """Return the flag in a response's `traceparent`."""
    return bool(int(response.headers["traceparent"][-2:], 16) & 1)


async def plain(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with the correlation id, in pure ASGI."""
    body = (_correlation.current() or "none").encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def fastapi_app(**options: Any) -> FastAPI:  # noqa: ANN401 - FastAPI's own options
    """Return an application with a route for each thing that can happen."""
    app = FastAPI(**{"telemetry": QUIET, **options})

    @app.get("/orders/{order}")
    async def order(order: int) -> dict[str, object]:
        return {"order": order, "id": _correlation.current()}

    @app.get("/sync")
    def sync() -> str | None:
        return _correlation.current()

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(418, "teapot")

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("broken")

    @app.get("/unavailable")
    async def unavailable() -> Response:
        return PlainTextResponse("later", status_code=503)

    @app.get("/own")
    async def own() -> Response:
        return PlainTextResponse("", headers={"X-Correlation-ID": "mine", "traceparent": "other"})

    return app


def ask_raw(app: ASGIApp, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of the response to a request that no client would send."""
    answered: list[tuple[bytes, bytes]] = []

    async def send(message: Message) -> None:
        answered.extend(message.get("headers", ()))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(handle(app, scope, receive_nothing, send))
    return answered


async def receive_nothing() -> Message:
    """Be a request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def handle(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Be the server that calls an application."""
    await app(scope, receive, send)
