"""What came back: a bounded body, and the value or the error that an answer stands for."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import responses
from typing import Generic, TypeVar
from urllib.parse import unquote

import httpx
from msgspec import DecodeError
from msgspec.json import Decoder

from prefect_exporter.errors import ApiError, Malformed, Redirected, Rejected, Throttled

AnswerT = TypeVar("AnswerT")

BODY_LIMIT = 8 * 1024 * 1024
"""The most bytes of one unpacked answer.

Prefect lets a run have 512 KiB of parameters, so a page can be longer: it is asked for in parts.
"""

ROW_LIMIT = 64 * 1024 * 1024
"""The most bytes of an answer that cannot be asked for in parts: a page of one row."""

PAUSE_LIMIT = 600
"""The longest pause in seconds that Prefect can ask for, so that a wrong header blinds nobody."""

_PROBLEM_LIMIT = 64 * 1024
_SMALL = 1024 * 1024
_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_LIMIT_TOO_HIGH = re.compile(rb"limit\W.{0,200}?less than or equal to (\d{1,6})\b", re.DOTALL)
_HINTS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; check PREFECT_API_AUTH_STRING or PREFECT_API_KEY",
    HTTPStatus.NOT_FOUND: "; PREFECT_API_URL should end in /api",
}


@dataclass(frozen=True, slots=True)
class Answer(Generic[AnswerT]):
    """A value, and how many bytes it was in unpacked JSON."""

    value: AnswerT
    size: int


class TooLong(Malformed):
    """An answer of more bytes than were allowed; a shorter page may do."""


class CsrfWanted(Rejected):
    """A 403 that asks for a CSRF token, or for a new one."""


class LimitTooHigh(Rejected):
    """A 422 that names the longest page; *allowed* is its number of rows."""

    def __init__(self, route: str, reason: str, *, status: int, allowed: int) -> None:
        super().__init__(route, reason, status=status)
        self.allowed = allowed


async def read_answer(
    route: str,
    response: httpx.Response,
    decoder: Decoder[AnswerT],
    longest: int,
    turn: asyncio.Lock,
) -> Answer[AnswerT]:
    """Return the value of a streamed answer of at most *longest* bytes.

    A large body is read only while *turn* is held, so that one at a time takes up memory.

    Raises:
        TooLong: The unpacked body is longer.
        ApiError: The status is not 2xx, or the body is not what Prefect sends.
    """
    if not response.is_success:
        raise await _failure(route, response)
    body = bytearray()
    async with aclosing(_unpacked(route, response)) as pieces:
        await _fill(body, pieces, _SMALL)
        if len(body) > _SMALL:
            async with turn:
                await _fill(body, pieces, longest)
    if len(body) > longest:
        raise TooLong(route, f"an answer of more than {longest} bytes")
    try:
        return Answer(decoder.decode(body), len(body))
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


async def _fill(body: bytearray, pieces: AsyncIterator[bytes], longest: int) -> None:
    """Add pieces until the body is whole, or longer than *longest* by a part of a piece."""
    async for piece in pieces:
        body += piece
        if len(body) > longest:
            return


async def _unpacked(route: str, response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the unpacked body in small pieces.

    httpx unpacks each chunk whole, and encodings in encodings: a few bytes could fill the memory.
    """
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"gzip", "identity"}:
        raise Malformed(route, "a content encoding that was not asked for")
    inflate = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    try:
        async for chunk in response.aiter_raw():
            if inflate is None:
                yield chunk
                continue
            packed = chunk
            while piece := inflate.decompress(packed, _PIECE):
                yield piece
                packed = inflate.unconsumed_tail
    except zlib.error:
        raise Malformed(route, "not the gzip that it claims to be") from None


def _why_unreadable(response: httpx.Response, error: Exception) -> str:
    if "html" in response.headers.get("Content-Type", "").lower():
        return "a web page and not the Prefect API; PREFECT_API_URL should end in /api"
    if isinstance(error, DecodeError):
        # Names our fields and types and counts bytes; it never quotes what was read.
        return f"not the JSON that Prefect sends: {error}"
    return "not the JSON that Prefect sends"


async def _failure(route: str, response: httpx.Response) -> ApiError:
    status = response.status_code
    reason = f"HTTP {status} {responses.get(status, '')}".rstrip() + _hint(status, response)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Redirected(route, f"HTTP {status} {_pointing(response)}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or (
        status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in response.headers
    ):
        pause = seconds_asked(response.headers)
        return Throttled(route, reason, status=status, retry_after=pause)
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}:
        problem = bytearray()
        async with aclosing(_unpacked(route, response)) as pieces:
            await _fill(problem, pieces, _PROBLEM_LIMIT)
        return _explained(route, reason, status, problem)
    return Rejected(route, reason, status=status)


def _hint(status: int, response: httpx.Response) -> str:
    if status == HTTPStatus.NOT_FOUND and "/workspaces/" in response.url.path:
        return "; check the account and the workspace in PREFECT_API_URL"
    return _HINTS.get(status, "")


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
