"""What came back: a bounded body, and the value or the error that an answer stands for."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import responses
from typing import TypeVar
from urllib.parse import unquote

import httpx
from msgspec import DecodeError
from msgspec.json import Decoder

from prefect_exporter.errors import ApiError, Malformed, Redirected, Rejected, Throttled

AnswerT = TypeVar("AnswerT")

BODY_LIMIT = 64 * 1024 * 1024
"""The most bytes of one unpacked answer; a page of 200 runs with large parameters is far below."""

PAUSE_LIMIT = 600
"""The longest pause in seconds that Prefect can ask for, so that a wrong header blinds nobody."""

_PROBLEM_LIMIT = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_LIMIT_TOO_HIGH = re.compile(rb"limit\W.{0,200}?less than or equal to (\d{1,6})\b", re.DOTALL)
_HINTS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; check PREFECT_API_AUTH_STRING or PREFECT_API_KEY",
    HTTPStatus.NOT_FOUND: "; PREFECT_API_URL should end in /api",
}


class CsrfWanted(Rejected):
    """A 403 that asks for a CSRF token, or for a new one."""


class LimitTooHigh(Rejected):
    """A 422 that names the longest page; *allowed* is its number of rows."""

    def __init__(self, route: str, reason: str, *, status: int, allowed: int) -> None:
        super().__init__(route, reason, status=status)
        self.allowed = allowed


async def read_answer(route: str, response: httpx.Response, decoder: Decoder[AnswerT]) -> AnswerT:
    """Return the value of a streamed answer.

    Raises:
        ApiError: The status is not 2xx, or the body is too long or not what Prefect sends.
    """
    if not response.is_success:
        raise await _failure(route, response)
    body = await _read(route, response, BODY_LIMIT)
    if len(body) > BODY_LIMIT:
        raise Malformed(route, f"an answer of more than {BODY_LIMIT} bytes")
    try:
        return decoder.decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(route, _why_unreadable(response, error)) from None


def page_token(route: str, next_page: str | None) -> str | None:
    """Return the token in the address of the next page of events; None on the last page.

    The address itself is wrong where a proxy stands between Prefect and us.

    Raises:
        Malformed: The address holds no token.
    """
    if next_page is None:
        return None
    for part in next_page.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if name == "page-token" and value:
            # Prefect does not escape the base64, so a plus is a plus here and no space.
            return unquote(value)
    raise Malformed(route, "the address of the next page holds no token")


def seconds_asked(headers: Mapping[str, str]) -> float:
    """Return the seconds that ``Retry-After`` asks for, from 0 to ``PAUSE_LIMIT``.

    0 stands also for no header and for one that says nothing.
    """
    value = headers.get("Retry-After", "")
    try:
        wanted: float = int(value) if value.isdecimal() else _seconds_until(value, headers)
    except (ValueError, OverflowError):
        return 0.0
    return float(min(max(wanted, 0), PAUSE_LIMIT))


def _seconds_until(date: str, headers: Mapping[str, str]) -> float:
    """Measure by the server's own clock where it says its time, so that skew does not matter."""
    now = headers.get("Date")
    since = _http_date(now) if now else datetime.now(UTC)
    return (_http_date(date) - since).total_seconds()


def _http_date(value: str) -> datetime:
    at = parsedate_to_datetime(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _read(route: str, response: httpx.Response, limit: int) -> bytearray:
    """Return the unpacked body, or its first *limit* + 1 bytes where it is longer.

    httpx unpacks each chunk whole, and encodings in encodings: a few bytes could fill the memory.
    """
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"gzip", "identity"}:
        raise Malformed(route, "a content encoding that was not asked for")
    inflate = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            room = limit + 1 - len(body)
            body += inflate.decompress(chunk, room) if inflate else chunk[:room]
            if len(body) > limit:
                break
    except zlib.error:
        raise Malformed(route, "not the gzip that it claims to be") from None
    return body


def _why_unreadable(response: httpx.Response, error: Exception) -> str:
    if "html" in response.headers.get("Content-Type", "").lower():
        return "a web page and not the Prefect API; PREFECT_API_URL should end in /api"
    if isinstance(error, DecodeError):
        # Names our fields and types and counts bytes; it never quotes what was read.
        return f"not the JSON that Prefect sends: {error}"
    return "not the JSON that Prefect sends"


async def _failure(route: str, response: httpx.Response) -> ApiError:
    status = response.status_code
    reason = f"HTTP {status} {responses.get(status, '')}".rstrip() + _HINTS.get(status, "")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Redirected(route, f"HTTP {status} {_pointing(response)}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or (
        status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in response.headers
    ):
        pause = seconds_asked(response.headers)
        return Throttled(route, reason, status=status, retry_after=pause)
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}:
        problem = await _read(route, response, _PROBLEM_LIMIT)
        return _explained(route, reason, status, problem)
    return Rejected(route, reason, status=status)


def _explained(route: str, reason: str, status: int, problem: bytearray) -> Rejected:
    if status == HTTPStatus.FORBIDDEN and b"csrf token" in problem.lower():
        return CsrfWanted(route, f"{reason}: no CSRF token that it takes", status=status)
    limit = _LIMIT_TOO_HIGH.search(problem)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and limit:
        return LimitTooHigh(
            route, f"{reason}: the page is too long", status=status, allowed=int(limit[1])
        )
    return Rejected(route, reason, status=status)


def _pointing(response: httpx.Response) -> str:
    """Say where a redirect points: scheme and host alone, as a path or query may hold a secret."""
    try:
        target = response.url.join(response.extensions["location"])
    except httpx.InvalidURL:
        return "points nowhere"
    if target.scheme not in {"http", "https"}:
        return "points nowhere"
    port = f":{target.port}" if target.port else ""
    return f"points to {target.scheme}://{target.host[:253]}{port}; PREFECT_API_URL should name it"
