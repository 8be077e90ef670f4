"""What an ASGI request says of itself, bounded: its headers, its method, its route.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from opentelemetry.propagators.textmap import Getter
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_NAME
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME

from prefect_instrumentation._propagation import MAX_BAGGAGE, MAX_HEADER
from prefect_instrumentation._text import MAX_NAME, text

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

_METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
)


class RequestHeaders(Getter[Scope]):
    """Reads a request's headers for OpenTelemetry's propagators, but no hostile ones."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        """Return the one value that `header` gives."""
        value = header(carrier, key)
        return None if value is None else [value]

    def keys(self, carrier: Scope) -> list[str]:
        """Return the names of all headers."""
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


def header(scope: Scope, name: str) -> str | None:
    """Return a header of the request, None if it is absent, too long or not printable ASCII.

    One that comes several times is joined with commas, as HTTP says.
    """
    wanted = name.lower().encode("latin-1")
    values = [value for key, value in scope["headers"] if key.lower() == wanted]
    text = b",".join(values).decode("latin-1")
    longest = MAX_BAGGAGE if name == "baggage" else MAX_HEADER
    is_sane = len(text) <= longest and text.isascii() and text.isprintable()
    return text if values and is_sane else None


def verb(scope: Scope) -> str:
    """Return how a request's span is named; the route comes behind it where there is one."""
    if scope["type"] == "websocket":
        return "WS"
    return scope["method"] if scope["method"] in _METHODS else "HTTP"


def attributes(scope: Scope) -> dict[str, str]:
    """Return the attributes of a request's span; no query, since it may hold secrets."""
    found = {URL_PATH: text(scope["path"], MAX_NAME), URL_SCHEME: scope.get("scheme", "http")}
    if scope["type"] == "websocket":
        return {**found, NETWORK_PROTOCOL_NAME: "websocket"}
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    return {**found, HTTP_REQUEST_METHOD: method}


def route(scope: Scope) -> str:
    """Return the template of the route taken, "" where no router has left one in the scope."""
    taken, root = scope.get("route"), scope.get("root_path", "").rstrip("/")
    if hasattr(taken, "routes"):
        return root or "/"  # mounted, such as static files: what is below it has no template
    # A FastAPI route that came by `include_router` does not know its prefix; its context does.
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is taken:
        taken = context
    path = getattr(taken, "path_format", None)
    return text(f"{root}{path}", MAX_NAME) if isinstance(path, str) else ""
