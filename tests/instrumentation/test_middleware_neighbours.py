"""The middleware beside other instrumentations and around WebSockets: one SERVER span each time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.middleware.opentelemetry import (
    OpenTelemetryMiddleware as StarletteTelemetry,
)
from starlette.routing import Mount
from starlette.websockets import WebSocketDisconnect

from prefect_instrumentation._asgi import ASGIApp, Message, Receive, Scope, Send
from prefect_instrumentation.middleware import CorrelationMiddleware
from web_apps import (
    QUIET,
    TRACE_ID,
    TRACEPARENT,
    Recorder,
    ask,
    fastapi_app,
    handle,
    is_sampled,
    own_header,
    plain,
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Return a recorder that is shut down at the end."""
    made = Recorder()
    yield made
    made.provider.shutdown()


# Other instrumentations


def natively_traced(recorder: Recorder) -> FastAPI:
    """Return an application that makes spans of its own."""
    return fastapi_app(
        telemetry={"tracer_provider": recorder.provider, "metrics": False, "logs": False}
    )


def test_fastapis_own_span_is_the_one(recorder: Recorder) -> None:
    """Where FastAPI has begun the SERVER span, it gets our id, and we answer with it."""
    app = natively_traced(recorder)
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    response = ask(
        app, "/orders/7", headers={"traceparent": TRACEPARENT, "X-Correlation-ID": "ord-42"}
    )

    span = recorder.server
    assert span.instrumentation_scope is not None
    assert "fastapi" == span.instrumentation_scope.name
    assert "ord-42" == (span.attributes or {})["correlation_id"]
    assert own_header(span) == response.headers["traceparent"]


@pytest.mark.parametrize("path", ["/orders/7", "/broken"])
def test_around_fastapi_our_span_is_the_one(recorder: Recorder, path: str) -> None:
    """Where we stand outside of FastAPI, it begins no span, and the route names ours."""
    app = CorrelationMiddleware(natively_traced(recorder), recorder.provider)

    response = ask(app, path)

    assert recorder.server.instrumentation_scope is not None
    assert "prefect_instrumentation" == recorder.server.instrumentation_scope.name
    assert own_header(recorder.server) == response.headers["traceparent"]
    assert recorder.server.name.startswith(f"GET /{path.split('/')[1]}")


def test_fastapi_mounted_in_starlette_begins_no_second_span(recorder: Recorder) -> None:
    """An application below ours leaves the span to ours."""
    app = Starlette(routes=[Mount("/api", natively_traced(recorder))])
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    ask(app, "/api/orders/7", headers={"traceparent": TRACEPARENT})

    assert "GET /api/orders/{order}" == recorder.server.name


@pytest.mark.parametrize("telemetry", ["native", "none"])
@pytest.mark.parametrize("order", ["instrumented-first", "instrumented-last"])
def test_opentelemetrys_fastapi_instrumentation_keeps_its_span(
    recorder: Recorder, order: str, telemetry: str
) -> None:
    """In both orders its SERVER span is the only one, ours or FastAPI's own do not appear."""
    app = natively_traced(recorder) if telemetry == "native" else fastapi_app()
    if order == "instrumented-first":
        FastAPIInstrumentor.instrument_app(app, tracer_provider=recorder.provider)
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    if order == "instrumented-last":
        FastAPIInstrumentor.instrument_app(app, tracer_provider=recorder.provider)

    try:
        response = ask(app, "/orders/7", headers={"traceparent": TRACEPARENT})
    finally:
        FastAPIInstrumentor.uninstrument_app(app)

    span = recorder.server
    assert span.instrumentation_scope is not None
    assert "opentelemetry.instrumentation.fastapi" == span.instrumentation_scope.name
    assert TRACE_ID == f"{span.context.trace_id:032x}"
    assert own_header(span) == response.headers["traceparent"]
    assert response.json()["id"] == response.headers["x-correlation-id"]


@pytest.mark.parametrize("order", ["ours-outside", "ours-inside"])
def test_opentelemetrys_asgi_middleware_and_ours_make_one_server_span(
    recorder: Recorder, order: str
) -> None:
    """Whichever stands outside has the SERVER span."""

    def theirs(app: Any) -> Any:  # noqa: ANN401 - untyped upstream
        return OpenTelemetryMiddleware(app, tracer_provider=recorder.provider)

    app = (
        CorrelationMiddleware(theirs(plain), recorder.provider)
        if order == "ours-outside"
        else theirs(CorrelationMiddleware(plain, recorder.provider))
    )

    response = ask(app, headers={"traceparent": TRACEPARENT})

    assert {TRACE_ID} == {f"{span.context.trace_id:032x}" for span in recorder.ended}
    assert own_header(recorder.server) == response.headers["traceparent"]


@pytest.mark.parametrize("order", ["ours-outside", "ours-inside"])
def test_starlettes_middleware_and_ours_make_one_server_span(
    recorder: Recorder, order: str
) -> None:
    """Starlette's begins a span whatever is current, unless it is told not to."""
    app = (
        CorrelationMiddleware(
            StarletteTelemetry(plain, tracer_provider=recorder.provider), recorder.provider
        )
        if order == "ours-outside"
        else StarletteTelemetry(
            CorrelationMiddleware(plain, recorder.provider), tracer_provider=recorder.provider
        )
    )

    response = ask(app, headers={"traceparent": TRACEPARENT})

    assert own_header(recorder.server) == response.headers["traceparent"]


def test_request_that_another_has_not_sampled_is_not_sampled_by_us(recorder: Recorder) -> None:
    """The decision of whoever stands outside holds for the whole request."""
    dropping = TracerProvider(sampler=ALWAYS_OFF)
    app = OpenTelemetryMiddleware(
        CorrelationMiddleware(plain, recorder.provider), tracer_provider=dropping
    )

    response = ask(app)

    assert () == recorder.ended
    assert not is_sampled(response)


# WebSockets


def converse(app: ASGIApp, incoming: list[dict[str, object]]) -> list[Message]:
    """Return what an application says on a WebSocket; its errors come out."""
    said: list[Message] = []
    script = iter(incoming)

    async def receive() -> Message:
        return next(script)

    async def send(message: Message) -> None:
        said.append(message)

    scope = {
        "type": "websocket",
        "path": "/talk/7",
        "query_string": b"",
        "headers": [(b"traceparent", TRACEPARENT.encode()), (b"x-correlation-id", b"ord-42")],
        "subprotocols": [],
    }
    asyncio.run(handle(app, scope, receive, send))
    return said


def talking_app() -> FastAPI:
    """Return an application that repeats what it hears."""
    app = FastAPI(telemetry=QUIET)  # type: ignore[arg-type]  # a plain dict

    @app.websocket("/talk/{room}")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    return app


CONNECT: dict[str, object] = {"type": "websocket.connect"}
HELLO: dict[str, object] = {"type": "websocket.receive", "text": "hello"}


def test_websocket_has_one_span_until_it_closes(recorder: Recorder) -> None:
    """The handshake says id and trace, and the client's leaving is no error."""
    app = talking_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    with contextlib.suppress(WebSocketDisconnect):  # as the endpoint leaves it unhandled
        converse(app, [CONNECT, HELLO, {"type": "websocket.disconnect", "code": 1001}])

    span = recorder.server
    assert "WS /talk/{room}" == span.name
    assert TRACE_ID == f"{span.context.trace_id:032x}"
    assert 101 == (span.attributes or {})["http.response.status_code"]
    assert "ord-42" == (span.attributes or {})["correlation_id"]
    assert span.status.status_code is StatusCode.UNSET


def test_websockets_handshake_carries_the_headers(recorder: Recorder) -> None:
    """The acceptance has both headers; what is said later has none."""

    async def accept(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})

    accepted, said = converse(CorrelationMiddleware(accept, recorder.provider), [CONNECT])

    assert [
        (b"x-correlation-id", b"ord-42"),
        (b"traceparent", own_header(recorder.server).encode()),
    ] == accepted["headers"]
    assert {"type": "websocket.send", "text": "hello"} == said


def test_broken_websocket_marks_the_span(recorder: Recorder) -> None:
    """A connection that breaks is an error of the span."""
    app = talking_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    with contextlib.suppress(WebSocketDisconnect):
        converse(app, [CONNECT, {"type": "websocket.disconnect", "code": 1006}])

    assert recorder.server.status.status_code is StatusCode.ERROR
