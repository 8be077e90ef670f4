"""What the client makes of each fault."""

from __future__ import annotations

from dataclasses import dataclass

from misbehaving import Fault
from prefect_exporter.errors import (
    ApiError,
    Malformed,
    Redirected,
    Rejected,
    Throttled,
    TimedOut,
    Unreachable,
)


@dataclass(frozen=True)
class Expected:
    """What one fault must end in."""

    error: type[ApiError]
    kind: str
    reason: str
    status: str | None = None
    deadline_seconds: float = 20


FAULTS = {
    Fault.REFUSED: Expected(Unreachable, "unreachable", "connection refused"),
    Fault.RESET_MID_BODY: Expected(Unreachable, "unreachable", "connection reset", "200"),
    Fault.ENDS_MID_BODY: Expected(Unreachable, "unreachable", "before a whole HTTP answer", "200"),
    Fault.NOT_HTTP: Expected(Unreachable, "unreachable", "before a whole HTTP answer"),
    Fault.UNAUTHORIZED: Expected(Rejected, "unauthorized", "check PREFECT_API_AUTH_STRING", "401"),
    Fault.FORBIDDEN_CSRF: Expected(Rejected, "forbidden", "CSRF token", "403"),
    Fault.FORBIDDEN: Expected(Rejected, "forbidden", "HTTP 403 Forbidden", "403"),
    Fault.NOT_FOUND: Expected(Rejected, "not_found", "should end in /api", "404"),
    Fault.PAGE_TOO_LONG: Expected(Rejected, "unprocessable", "page is too long", "422"),
    Fault.UNPROCESSABLE: Expected(Rejected, "unprocessable", "HTTP 422", "422"),
    Fault.THROTTLED: Expected(Throttled, "throttled", "HTTP 429 Too Many Requests", "429"),
    Fault.SERVER_ERROR: Expected(Rejected, "server_error", "HTTP 500", "500"),
    Fault.BAD_GATEWAY: Expected(Rejected, "server_error", "HTTP 502 Bad Gateway", "502"),
    Fault.UNAVAILABLE: Expected(Rejected, "server_error", "HTTP 503", "503"),
    Fault.WEB_PAGE: Expected(Malformed, "malformed", "web page and not the Prefect API", "200"),
    Fault.EMPTY: Expected(Malformed, "malformed", "truncated", "200"),
    Fault.TRUNCATED_JSON: Expected(Malformed, "malformed", "truncated", "200"),
    Fault.WRONG_TYPES: Expected(Malformed, "malformed", "$[0].id", "200"),
    Fault.WRONG_SHAPE: Expected(Malformed, "malformed", "Expected `array`, got `object`", "200"),
    Fault.DRIPS_FOREVER: Expected(TimedOut, "timeout", "within 1 s", "200", 1),
    Fault.NEVER_ANSWERS: Expected(TimedOut, "timeout", "within 1 s", None, 1),
    Fault.HUGE: Expected(Malformed, "malformed", "more than 67108864 bytes", "200"),
    Fault.GZIP_BOMB: Expected(Malformed, "malformed", "more than 67108864 bytes", "200"),
    Fault.NOT_GZIP: Expected(Malformed, "malformed", "not the gzip", "200"),
    Fault.REDIRECT: Expected(Redirected, "redirected", "points to http://localhost:", "302"),
}
