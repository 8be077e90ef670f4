"""The middleware: one SERVER span and one correlation id a request, whatever stands around it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, StatusCode
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import Response
from starlette.routing import Mount, Route

from prefect_instrumentation import _correlation
from prefect_instrumentation._asgi import Message, Receive, Scope, Send
from prefect_instrumentation.middleware import CorrelationMiddleware
from web_apps import (
    MINTED,
    QUIET,
    SPAN_ID,
    TRACE_ID,
    TRACEPARENT,
    Recorder,
    ask,
    ask_raw,
    fastapi_app,
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


# The correlation id


def test_incoming_correlation_id_is_kept(recorder: Recorder) -> None:
    """An id that came in is current in the application, answered, and on the span."""
    app = CorrelationMiddleware(plain, recorder.provider)

    response = ask(app, headers={"X-Correlation-ID": "ord-42"})

    assert "ord-42" == response.text
    assert ["ord-42"] == response.headers.get_list("x-correlation-id")
    assert recorder.server.attributes is not None
    assert "ord-42" == recorder.server.attributes["correlation_id"]


def test_missing_correlation_id_is_minted_per_request(recorder: Recorder) -> None:
    """Each request without an id gets one of its own."""
    app = CorrelationMiddleware(plain, recorder.provider)

    first, second = ask(app), ask(app)

    assert MINTED.fullmatch(first.text)
    assert first.text == first.headers["x-correlation-id"]
    assert first.text != second.text


@pytest.mark.parametrize(
    "values",
    [
        [b"x" * 10_240],
        [b"a\x01b"],
        [b"a\r\nset-cookie: stolen=1"],
        [b"\xff\xfe\x80"],
        ["\u00e4rger".encode()],
        [b""],
        [b"one", b"two"],
        [b"<script>"],
    ],
    ids=["10kB", "control", "newline", "bad-utf8", "utf8", "empty", "duplicated", "markup"],
)
def test_hostile_correlation_id_is_replaced(recorder: Recorder, values: list[bytes]) -> None:
    """What could break a header or a log line is not reflected: a new id takes its place."""
    headers = [(b"X-Correlation-ID", value) for value in values]

    response = ask_raw(CorrelationMiddleware(plain, recorder.provider), headers)

    (answered,) = [value for name, value in response if name == b"x-correlation-id"]
    assert MINTED.fullmatch(answered.decode())
    assert recorder.server.attributes is not None
    assert answered.decode() == recorder.server.attributes["correlation_id"]


def test_the_id_is_gone_after_the_request(recorder: Recorder) -> None:
    """What calls the application in its own context is left with neither an id nor a span."""

    async def call() -> tuple[str | None, trace.SpanContext]:
        transport = httpx.ASGITransport(CorrelationMiddleware(plain, recorder.provider))
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            await client.get("/")
        return _correlation.current(), trace.get_current_span().get_span_context()

    assert (None, trace.INVALID_SPAN_CONTEXT) == asyncio.run(call())


def test_what_the_application_answers_itself_wins(recorder: Recorder) -> None:
    """An id and a traceparent that the application has set are neither replaced nor doubled."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    response = ask(app, "/own")

    assert ["mine"] == response.headers.get_list("x-correlation-id")
    assert ["other"] == response.headers.get_list("traceparent")


def test_added_twice_works_once(recorder: Recorder) -> None:
    """A second middleware, here on an application mounted in another, changes nothing."""
    between: list[str | None] = []

    async def look(request: Request, call_next: RequestResponseEndpoint) -> Response:
        between.append(_correlation.current())
        return await call_next(request)

    inner = fastapi_app()
    inner.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    app = Starlette(routes=[Mount("/inner", inner)])
    app.add_middleware(BaseHTTPMiddleware, dispatch=look)
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    response = ask(app, "/inner/orders/7")

    assert between == response.headers.get_list("x-correlation-id") == [response.json()["id"]]
    assert [own_header(recorder.server)] == response.headers.get_list("traceparent")


def test_sync_endpoint_has_the_id(recorder: Recorder) -> None:
    """The id follows into the thread in which FastAPI runs what is not async."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    assert "ord-42" == ask(app, "/sync", headers={"X-Correlation-ID": "ord-42"}).json()


# The trace


def test_span_goes_on_with_the_callers_trace(recorder: Recorder) -> None:
    """The span is the remote parent's child, has its tracestate, and is answered."""
    headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}

    response = ask(CorrelationMiddleware(plain, recorder.provider), headers=headers)

    span = recorder.server
    assert span.parent is not None
    assert (TRACE_ID, SPAN_ID) == (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}")
    assert "vendor=1" == span.context.trace_state.to_header()
    assert own_header(span) == response.headers["traceparent"]


def carried() -> dict[str, object]:
    """Return the current baggage without the correlation id, which every request has."""
    return {name: value for name, value in baggage.get_all().items() if name != "correlation_id"}


def test_baggage_is_current_in_the_application(recorder: Recorder) -> None:
    """Baggage that came in several headers is there for whatever goes out."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(carried())
        await plain(scope, receive, send)

    ask_raw(
        CorrelationMiddleware(app, recorder.provider),
        [(b"baggage", b"tenant=acme"), (b"baggage", b"tier=gold")],
    )

    assert [{"tenant": "acme", "tier": "gold"}] == seen


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"nonsense")],
        [(b"traceparent", TRACEPARENT.encode() * 1000)],
        [(b"traceparent", TRACEPARENT.encode()), (b"traceparent", TRACEPARENT.encode())],
        [(b"traceparent", b"\xff" + TRACEPARENT.encode())],
        [(b"traceparent", f"00-{'0' * 32}-{SPAN_ID}-01".encode())],
        [(b"baggage", b"k=" + b"v" * 10_240)],
        [(b"baggage", b"k=\x00\x01")],
        [(b"tracestate", b"\xff" * 10_240)],
    ],
    ids=[
        "nonsense",
        "long",
        "duplicated",
        "bad-utf8",
        "zero",
        "long-baggage",
        "control-baggage",
        "bad-tracestate",
    ],
)
def test_hostile_trace_headers_begin_a_new_trace(
    recorder: Recorder,
    headers: list[tuple[bytes, bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A request with useless trace headers is a root, carries no baggage, and logs nothing."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(carried())
        await plain(scope, receive, send)

    ask_raw(CorrelationMiddleware(app, recorder.provider), headers)

    assert recorder.server.parent is None
    assert [{}] == seen
    assert [] == caplog.records


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"baggage", b"correlation_id=ord-42")], "ord-42"),
        ([(b"baggage", b"correlation_id=ord-42"), (b"x-correlation-id", b"ord-1")], "ord-1"),
        ([(b"baggage", b"correlation_id=ord-42"), (b"x-correlation-id", b"a b")], "ord-42"),
        ([(b"baggage", b"correlation_id=%3Cscript%3E")], None),
    ],
    ids=["baggage", "header-wins", "bad-header", "bad-baggage"],
)
def test_correlation_id_is_taken_from_the_header_or_else_from_baggage(
    recorder: Recorder, headers: list[tuple[bytes, bytes]], expected: str | None
) -> None:
    """An id goes on from either, the header first; a bad one is no id; baggage carries it on."""
    seen: list[tuple[object, object]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((_correlation.current(), baggage.get_baggage("correlation_id")))
        await plain(scope, receive, send)

    ask_raw(CorrelationMiddleware(app, recorder.provider), headers)

    ((current, in_baggage),) = seen
    assert current == in_baggage
    assert current == expected if expected else re.fullmatch("[0-9a-f]{32}", str(current))


def test_span_begins_a_trace_of_its_own_inside_another_span(recorder: Recorder) -> None:
    """Whatever span the server was started in, a request without a parent is a root."""
    with recorder.provider.get_tracer("test").start_as_current_span("flow serving"):
        ask(CorrelationMiddleware(plain, recorder.provider))

    assert recorder.server.parent is None


def test_without_a_provider_only_the_id_is_answered() -> None:
    """Where nothing is recorded, the caller's traceparent is not sent back as if it were ours."""
    app = CorrelationMiddleware(plain, NoOpTracerProvider())

    response = ask(app, headers={"traceparent": TRACEPARENT, "X-Correlation-ID": "ord-42"})

    assert "ord-42" == response.headers["x-correlation-id"]
    assert "traceparent" not in response.headers


def test_unsampled_request_goes_unrecorded_but_is_answered() -> None:
    """A request that is not sampled still has an id and a traceparent, flagged so."""
    recorder = Recorder(provider=TracerProvider(sampler=ALWAYS_OFF))

    response = ask(CorrelationMiddleware(plain, recorder.provider))

    assert () == recorder.ended
    assert not is_sampled(response)


# The span


def test_span_of_a_fastapi_request(recorder: Recorder) -> None:
    """Its name is the route's template, and its attributes are the semantic conventions'."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    ask(app, "/orders/7?token=secret", headers={"X-Correlation-ID": "ord-42"})

    span = recorder.server
    assert "GET /orders/{order}" == span.name
    assert span.status.status_code is StatusCode.UNSET
    assert {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/orders/{order}",
        "url.path": "/orders/7",
        "url.scheme": "http",
        "correlation_id": "ord-42",
    } == dict(span.attributes or {})


def test_route_has_the_prefix_of_routers_and_mounts(recorder: Recorder) -> None:
    """The template is the whole path's, however the application is put together."""
    router = APIRouter(prefix="/router")

    @router.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    inner = FastAPI(telemetry=QUIET)  # type: ignore[arg-type]  # a plain dict
    inner.include_router(router, prefix="/v1")
    app = FastAPI(telemetry=QUIET)  # type: ignore[arg-type]  # as above
    app.include_router(router, prefix="/v2")
    app.mount("/inner", inner)
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    ask(app, "/v2/router/items/1")
    ask(app, "/inner/v1/router/items/2")

    assert [
        "GET /v2/router/items/{item}",
        "GET /inner/v1/router/items/{item}",
    ] == [span.name for span in recorder.servers]


def test_starlette_routes_and_mounts(recorder: Recorder) -> None:
    """Starlette's routes name the span too; below a mounted application the mount does."""

    async def answer(_request: Request) -> Response:
        return PlainTextResponse("")

    app = Starlette(
        routes=[
            Route("/a/{b}", answer),
            Mount("/m", routes=[Route("/n/{k}", answer)]),
            Mount("/files", app=plain),
        ]
    )
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    for path in ("/a/1", "/m/n/2", "/files/etc/passwd"):
        ask(app, path)

    assert ["GET /a/{b}", "GET /m/n/{k}", "GET /files"] == [span.name for span in recorder.servers]


def test_unknown_paths_and_methods_make_no_names(recorder: Recorder) -> None:
    """What a client can make up is in no span's name, and its path is cut."""
    app = CorrelationMiddleware(fastapi_app(), recorder.provider)

    ask(app, "/" + "x" * 5000)
    ask(app, "/orders/1", method="BREW")

    missing, brewed = recorder.servers
    assert missing.attributes is not None
    assert brewed.attributes is not None
    assert "GET" == missing.name
    assert 404 == missing.attributes["http.response.status_code"]
    assert len(str(missing.attributes["url.path"])) <= 256
    assert "_OTHER" == brewed.attributes["http.request.method"]
    assert brewed.name == "HTTP /orders/{order}"


@pytest.mark.parametrize(
    ("path", "status"), [("/refused", 418), ("/nowhere", 404), ("/orders/seven", 422)]
)
def test_clients_errors_are_no_errors_of_the_span(
    recorder: Recorder, path: str, status: int
) -> None:
    """A 4xx response carries both headers, and its span is not an error."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    response = ask(app, path)

    assert status == response.status_code
    assert own_header(recorder.server) == response.headers["traceparent"]
    assert "x-correlation-id" in response.headers
    assert recorder.server.status.status_code is StatusCode.UNSET
    assert "error.type" not in (recorder.server.attributes or {})


def test_server_error_marks_the_span(recorder: Recorder) -> None:
    """A 5xx response makes its span an error, whose type is the status."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    ask(app, "/unavailable")

    assert recorder.server.status.status_code is StatusCode.ERROR
    assert "503" == (recorder.server.attributes or {})["error.type"]


def test_unhandled_error_passes_unchanged(recorder: Recorder) -> None:
    """The application's exception comes out as the same object, and the span has recorded it."""
    error = ValueError("broken")

    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
        raise error

    with pytest.raises(ValueError, match="broken") as caught:
        ask_raw(CorrelationMiddleware(broken, recorder.provider), [])

    span = recorder.server
    assert caught.value is error
    assert span.status.status_code is StatusCode.ERROR
    assert "ValueError" == (span.attributes or {})["error.type"]
    assert ["exception"] == [event.name for event in span.events]
    assert _correlation.current() is None


@pytest.mark.parametrize("around", ["nothing", "another"])
def test_page_of_an_unhandled_error_has_the_headers(recorder: Recorder, around: str) -> None:
    """Even the 500 that the framework writes outside of all middlewares says id and trace."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    if around == "another":
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)

    @app.exception_handler(Exception)
    async def apologise(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("sorry", status_code=500)

    # The stack at work in the first request is not covered yet, if there has been no start-up.
    pages = [ask(app, "/broken", headers={"X-Correlation-ID": "ord-42"}) for _ in range(2)]

    assert [(500, "sorry")] * 2 == [(page.status_code, page.text) for page in pages]
    assert ["ord-42"] == pages[-1].headers.get_list("x-correlation-id")
    assert [own_header(recorder.servers[-1])] == pages[-1].headers.get_list("traceparent")


def test_error_pages_are_covered_once(recorder: Recorder) -> None:
    """A server of many requests does not grow by a layer with each."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    stacks = []
    for _ in range(3):
        ask(app)
        stacks.append(app.middleware_stack)

    assert stacks[0] is stacks[1] is stacks[2] is not None


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Be somebody else's middleware."""
    return await call_next(request)


def test_outer_middleware_still_sees_the_exception(recorder: Recorder) -> None:
    """A middleware that turns exceptions into responses works as it did without us."""

    async def convert(request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            return await call_next(request)
        except ValueError:
            return PlainTextResponse("converted", status_code=409)

    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    app.add_middleware(BaseHTTPMiddleware, dispatch=convert)

    assert "converted" == ask(app, "/broken").text
    assert "x-correlation-id" in ask(app, "/broken").headers


def test_span_lasts_as_long_as_a_streamed_response(recorder: Recorder) -> None:
    """The span ends with the last piece, and the code that makes the pieces is inside it."""
    open_spans: list[int] = []
    current: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            open_spans.append(len(recorder.servers))
            current.append(trace.get_current_span().get_span_context().span_id)
            yield b"piece"

    app = FastAPI(telemetry=QUIET)  # type: ignore[arg-type]  # a plain dict

    @app.get("/stream")
    async def stream() -> Response:
        return StreamingResponse(pieces())

    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    ask(app, "/stream")

    assert [0, 0, 0] == open_spans
    assert {recorder.server.context.span_id} == set(current)


def test_background_task_runs_after_the_span_but_in_its_trace(recorder: Recorder) -> None:
    """What runs after the response does not lengthen its span, and is its child all the same."""
    seen: list[tuple[int, str | None]] = []
    app = FastAPI(telemetry=QUIET)  # type: ignore[arg-type]  # a plain dict

    def later() -> None:
        seen.append((len(recorder.servers), _correlation.current()))
        recorder.provider.get_tracer("test").start_span("later").end()

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(later)

    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    ask(app, "/background", headers={"X-Correlation-ID": "ord-42"})

    assert [(1, "ord-42")] == seen
    child = next(span for span in recorder.ended if span.name == "later")
    assert child.parent == recorder.server.context


def test_broken_telemetry_leaves_the_request_alone() -> None:
    """A provider that raises costs the span, and the application answers as ever."""

    class Broken(NoOpTracerProvider):
        def get_tracer(self, *args: object, **kwargs: object) -> NoReturn:
            raise RuntimeError("no tracer")

    assert "none" == ask(CorrelationMiddleware(plain, Broken())).text


def test_first_request_sets_up_the_provider_and_import_does_not() -> None:
    """Nothing of the SDK is imported before there is a request whose span needs it."""
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    result = subprocess.run(
        [sys.executable, "-c", SETTING_UP], capture_output=True, check=True, env=environ, text=True
    )

    assert [False, True, False] == json.loads(result.stdout)


SETTING_UP = """
import asyncio, json, sys
from prefect_instrumentation.middleware import CorrelationMiddleware

answered = []

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})

async def send(message):
    answered.append(dict(message["headers"]))

async def call(*kinds):
    middleware = CorrelationMiddleware(app)
    for kind in kinds:
        await middleware({"type": kind, "method": "GET", "path": "/", "headers": []}, None, send)

asyncio.run(call("lifespan"))
before = "opentelemetry.sdk.trace" in sys.modules
asyncio.run(call("http"))
after = "opentelemetry.sdk.trace" in sys.modules
print(json.dumps([before, after, b"traceparent" not in answered[0]]))
"""


def test_lifespan_passes(recorder: Recorder) -> None:
    """What is no request has no span, and start-up covers the error page of the first request."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)

    async def live() -> list[str]:
        said: list[str] = []
        events = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, str]:
            return {"type": next(events)}

        async def send(message: Message) -> None:
            said.append(message["type"])

        await app({"type": "lifespan", "state": {}}, receive, send)
        return said

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == asyncio.run(live())
    assert () == recorder.ended
    assert "x-correlation-id" in ask(app, "/broken").headers


# A real server


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve the application by uvicorn on a free port of this machine; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def test_real_server_answers_with_id_and_trace(recorder: Recorder) -> None:
    """Over real connections too, also on the page of the first request's unhandled error."""
    app = fastapi_app()
    app.add_middleware(CorrelationMiddleware, tracer_provider=recorder.provider)
    headers = {"traceparent": TRACEPARENT, "X-Correlation-ID": "ord-42"}

    with serving(app) as address:
        broken = httpx.get(f"{address}/broken", headers=headers)
        fine = httpx.get(f"{address}/orders/7", headers=headers)
        hostile = httpx.get(
            f"{address}/orders/7", headers={**headers, "X-Correlation-ID": "x" * 10_240}
        )

    assert [500, 200, 200] == [broken.status_code, fine.status_code, hostile.status_code]
    assert ["GET /broken", "GET /orders/{order}", "GET /orders/{order}"] == [
        span.name for span in recorder.servers
    ]
    assert [own_header(span) for span in recorder.servers] == [
        response.headers["traceparent"] for response in (broken, fine, hostile)
    ]
    assert {TRACE_ID} == {f"{span.context.trace_id:032x}" for span in recorder.servers}
    assert "ord-42" == broken.headers["x-correlation-id"] == fine.json()["id"]
    assert MINTED.fullmatch(hostile.headers["x-correlation-id"])
