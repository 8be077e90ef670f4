"""Requests to the API of another system: bounded, without credentials in what is told of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from trigger.jobs.errors import Doubt, Refused, Unavailable
from trigger.jobs.model import MAX_SAID

T = TypeVar("T")

MAX_BYTES = 1_048_576
MAX_RETRY_AFTER = 300.0

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_DONE = frozenset({429, 503})


class Asking:
    """The API of one system; what it answers is read as a type, and all else of it is ignored.

    Args:
        name: The system's, for errors.
        http: Has its address and its credentials.
        seconds: How long a whole answer may take.
    """

    def __init__(self, name: str, http: httpx.Client, *, seconds: float = 10.0) -> None:
        self.name = name
        self._http = http
        self._seconds = seconds

    @property
    def address(self) -> str:
        """Where it is, without a user, a password or a query."""
        url = self._http.base_url
        return f"{url.scheme}://{url.netloc.decode().rpartition('@')[2]}"

    def get(self, kind: type[T], path: str, **query: str | int) -> T:
        """Return what is there; raises `Unavailable` or `Refused`."""
        return self._understood(kind, self._ask("GET", path, params=query))

    def post(self, kind: type[T], path: str, body: Mapping[str, object]) -> T:
        """Have something done; raises `Unavailable` or `Refused`."""
        return self._understood(kind, self._ask("POST", path, json=body))

    def delete(self, path: str) -> None:
        """Have something taken back; raises `Unavailable` or `Refused`."""
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> bytes:  # noqa: ANN401 - httpx's own
        try:
            with self._http.stream(method, path, timeout=self._seconds, **options) as answer:
                body = self._body(answer)
        except _NOT_SENT as error:
            raise Unavailable(self.name, f"no connection ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            reason = f"no answer ({type(error).__name__})"
            raise Unavailable(self.name, reason, doubt=Doubt.LOST) from None
        if not answer.is_success:
            pause = retry_after(answer.headers.get("retry-after", ""))
            raise self._refusal(answer.status_code, pause, body)
        return body

    def _body(self, answer: httpx.Response) -> bytes:
        body, until = b"", time.monotonic() + self._seconds
        for chunk in answer.iter_bytes():
            body += chunk
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer takes too long")
            if len(body) > MAX_BYTES:
                raise httpx.DecodingError("the answer is too large")
        return body

    def _understood(self, kind: type[T], body: bytes) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Unavailable(self.name, "an odd answer", doubt=Doubt.ANSWERED) from None

    def _refusal(self, status: int, pause: float, body: bytes) -> Unavailable | Refused:
        if status in _NOT_DONE:
            return Unavailable(self.name, f"HTTP {status}", status=status, retry_after=pause)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return Unavailable(self.name, f"HTTP {status}", status=status, doubt=Doubt.ANSWERED)
        told = said(body.decode(errors="replace"))
        return Refused(self.name, f"HTTP {status}: {told}", status=status)


@contextmanager
def connected(url: str, token_file: Path | None, *, scheme: str) -> Iterator[httpx.Client]:
    """Yield a client with the token of a file, which is read now: it may have been replaced.

    Args:
        url: Where the API is.
        token_file: None for an API that asks for none.
        scheme: What stands before the token in the header.
    """
    headers = {}
    if token_file is not None:
        headers["Authorization"] = f"{scheme} {token_file.read_text(encoding='utf-8').strip()}"
    with httpx.Client(base_url=url, headers=headers) as http:
        yield http


def said(text: object) -> str:
    """Return what another system says as one line of bounded length."""
    line = " ".join(str(text or "")[: 4 * MAX_SAID].split())
    return line if len(line) <= MAX_SAID else line[:MAX_SAID] + "..."


def retry_after(header: str, now: datetime | None = None) -> float:
    """Return the seconds of a Retry-After, from 0 to `MAX_RETRY_AFTER`; 0 for nonsense."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - (now or datetime.now(UTC))).total_seconds()
        except (TypeError, ValueError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else 0.0
