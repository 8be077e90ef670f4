"""Requests of a web application as the beginning of a trace: for FastAPI, Starlette, any ASGI app.

Add it to the application, once, in any order with other middlewares::

    from prefect_instrumentation import CorrelationMiddleware

    app.add_middleware(CorrelationMiddleware)

Each request goes on with the trace of its `traceparent` header or begins one, has one SERVER span,
and has a correlation id: that of its `X-Correlation-ID` header, or of its baggage, or a new one.
Runs that the request starts belong to the same trace and have the same id. Responses say both.

Where FastAPI itself or an instrumentation of OpenTelemetry's has begun the request's SERVER span,
there is no second one.
"""

from __future__ import annotations

from contextvars import Token

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, Tracer, TracerProvider

from prefect_instrumentation import __version__, _asgi, _correlation, _errors, _propagation
from prefect_instrumentation import attributes as names
from prefect_instrumentation._asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._span_attributes import exception

__all__ = ["CorrelationMiddleware"]

CORRELATION_HEADER = "x-correlation-id"

_REPLY = "prefect_instrumentation.reply"
"""In a request's scope: the headers that its response gets."""

_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_SERVER_ERROR = 500
_SWITCHING_PROTOCOLS = 101
_ORDINARY_CLOSURES = frozenset({1000, 1001, 1005})

_request_headers = _asgi.RequestHeaders()


class CorrelationMiddleware:
    """Give each request one SERVER span and a correlation id, and say both in the response.

    A response that names a correlation id or a `traceparent` itself keeps its own.

    Args:
        app: the application, or the next middleware.
        tracer_provider: the global one by default; where there is none, ours is set up from the
            `OTEL_*` variables by the first request, so that one set at start-up is kept.
    """

    def __init__(self, app: ASGIApp, tracer_provider: TracerProvider | None = None) -> None:
        # FastAPI looks along `app` for instrumentations that take the place of its own.
        self.app = app
        self._provider = tracer_provider
        self._tracer: Tracer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; what is none, or has passed here already, only passes."""
        _cover_error_page(scope)
        is_request = scope["type"] in {"http", "websocket"} and _REPLY not in scope
        exchange = self._begin(scope) if is_request else None
        if exchange is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, exchange.watch(send))
        except BaseException as error:
            exchange.raised(error)
            raise
        finally:
            exchange.left()

    @guarded
    def _begin(self, scope: Scope) -> _Exchange:
        tracer = self._tracer or self._make_tracer()
        context = otel_context.get_current()
        own: Span = trace.INVALID_SPAN
        if not _is_served(trace.get_current_span(context)):
            context = _serve(tracer, scope, context)
            own = trace.get_current_span(context)
        proposed = _correlation.accept(_asgi.header(scope, CORRELATION_HEADER))
        correlation_id = proposed or _correlation.carried(context) or _correlation.new()
        server = trace.get_current_span(context)
        server.set_attribute(names.CORRELATION_ID, correlation_id)
        scope[_REPLY] = _reply(correlation_id, server.get_span_context())
        carrying = _correlation.carrying(correlation_id, context)
        tokens = otel_context.attach(carrying), _correlation.bind(correlation_id)
        return _Exchange(scope, own, tokens)

    def _make_tracer(self) -> Tracer:
        if self._provider is None:
            _ensure_provider()
        self._tracer = trace.get_tracer(
            "prefect_instrumentation", __version__, tracer_provider=self._provider
        )
        return self._tracer


class _Exchange:
    """One request and its response, as its span tells of them.

    Args:
        scope: of the request; routers write into it.
        span: begun for it by us, else one that takes everything and keeps nothing.
        tokens: what was current before.
    """

    __slots__ = ("_has_trailers", "_scope", "_span", "_status", "_tokens")

    def __init__(
        self, scope: Scope, span: Span, tokens: tuple[Token[Context], Token[str | None]]
    ) -> None:
        self._scope = scope
        self._span = span
        self._tokens = tokens
        self._status = 0
        self._has_trailers = False

    def watch(self, send: Send) -> Send:
        """Return a `send` that adds our headers, and ends the span with the response."""
        reply = _replying(self._scope, send)

        async def watched(message: Message) -> None:
            await reply(message)
            self._sent(message)

        return watched

    @guarded
    def raised(self, error: BaseException) -> None:
        """Say that the application raised; the end of a WebSocket's connection is no error."""
        code = getattr(error, "code", None) if self._scope["type"] == "websocket" else None
        if code in _ORDINARY_CLOSURES or not self._span.is_recording():
            return
        self._span.add_event("exception", exception(error))
        self._span.set_attributes(_errors.describe(error))
        self._span.set_status(StatusCode.ERROR)

    @guarded
    def left(self) -> None:
        """End the span if the response has not, and make current what was so before."""
        try:
            self._end()
        finally:
            _correlation.unbind(self._tokens[1])
            otel_context.detach(self._tokens[0])

    @guarded
    def _sent(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self._status = message.get("status", _SWITCHING_PROTOCOLS)
            self._has_trailers = bool(message.get("trailers"))
        elif self._is_last(message):
            self._end()

    def _is_last(self, message: Message) -> bool:
        match message["type"]:
            case "http.response.body":
                return not message.get("more_body") and not self._has_trailers
            case "http.response.trailers":
                return not message.get("more_trailers")
            case "http.response.pathsend":
                return True
        return False

    def _end(self) -> None:
        if not self._span.is_recording():
            return
        try:
            self._conclude()
        finally:
            self._span.end()

    def _conclude(self) -> None:
        if route := _asgi.route(self._scope):
            self._span.set_attribute(HTTP_ROUTE, route)
            self._span.update_name(f"{_asgi.verb(self._scope)} {route}")
        if self._status:
            self._span.set_attribute(HTTP_RESPONSE_STATUS_CODE, self._status)
        if self._status >= _SERVER_ERROR:
            self._span.set_attribute(names.ERROR_TYPE, str(self._status))
            self._span.set_status(StatusCode.ERROR)


class _ErrorPages:
    """Outermost in a Starlette application: gives our headers to the page of an unhandled error.

    `ServerErrorMiddleware` writes that page, and stands outside of all that can be added:
    https://www.starlette.io/middleware/
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with a `send` that knows what the middleware leaves in the scope."""
        await self.app(scope, receive, _replying(scope, send))


@guarded
def _cover_error_page(scope: Scope) -> None:
    app = scope.get("app")
    stack = getattr(app, "middleware_stack", None)
    if app is not None and stack is not None and not isinstance(stack, _ErrorPages):
        app.middleware_stack = _ErrorPages(stack)


@guarded
def _ensure_provider() -> None:
    from prefect_instrumentation import (  # noqa: PLC0415 - nobody pays for it before a request
        _provider,
        _settings,
    )

    _provider.ensure_provider(_settings.current())


def _is_served(span: Span) -> bool:
    """Return whether the current span is that of the request, begun by somebody else.

    A span that is not sampled does not tell its kind; then the decision holds for the request.
    """
    if not _is_local(span.get_span_context()):
        return False
    return not span.is_recording() or getattr(span, "kind", None) is SpanKind.SERVER


def _is_local(span: SpanContext) -> bool:
    return span.is_valid and not span.is_remote


def _serve(tracer: Tracer, scope: Scope, surroundings: Context) -> Context:
    """Begin the request's span, below the caller's, and return the context that holds it."""
    nowhere = trace.set_span_in_context(trace.INVALID_SPAN, surroundings)
    context = propagate.extract(scope, nowhere, _request_headers)
    span = tracer.start_span(_asgi.verb(scope), context, SpanKind.SERVER, _asgi.attributes(scope))
    if _is_local(span.get_span_context()):
        # FastAPI and Starlette begin a span unless these are in the scope, whatever is current.
        scope.setdefault("fastapi.telemetry", None)
        scope.setdefault("starlette.opentelemetry", True)
    return trace.set_span_in_context(span, context)


def _reply(correlation_id: str, span: SpanContext) -> Headers:
    headers = [(CORRELATION_HEADER.encode(), correlation_id.encode())]
    if _is_local(span):
        headers.append((b"traceparent", _propagation.traceparent(span).encode()))
    return headers


def _replying(scope: Scope, send: Send) -> Send:
    """Return a `send` that adds the scope's reply to a response, and nothing to a second one."""

    async def reply(message: Message) -> None:
        if message["type"] in _STARTS and _REPLY in scope:
            message = _with_headers(message, scope[_REPLY]) or message
        await send(message)

    return reply


@guarded
def _with_headers(message: Message, added: Headers) -> Message:
    headers = list(message.get("headers") or ())
    present = {bytes(name).lower() for name, _ in headers}
    return {**message, "headers": headers + [pair for pair in added if pair[0] not in present]}
