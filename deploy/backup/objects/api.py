"""Prefect's API as this backup reads and writes it: paged, bounded, and on one host only."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import httpx
import stamina

from backup.errors import SourceUnavailable
from backup.targets import Target

Row = dict[str, Any]
"""One object, as JSON has it."""

_READS_AGAIN = frozenset({429, 500, 502, 503, 504})
# These say that nothing was done. Of any other failure nobody knows that.
_WRITES_AGAIN = frozenset({429, 503})
_ALLOWED = re.compile(r"less than or equal to (\d{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is taken from a server that may be anything.

    Args:
        page: Rows of one page.
        rows: Of one kind of object.
        answer_bytes: Of one answer.
        total_bytes: Of all answers.
        seconds: For everything.
        attempts: Of one request.
    """

    page: int = 200
    rows: int = 100_000
    answer_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 512 * 1024 * 1024
    seconds: float = 900.0
    attempts: int = 6


class Refused(SourceUnavailable):
    """The API said no.

    Args:
        status: Of HTTP.
        wait: The seconds after which it wants to be asked again; None where it does not say.
    """

    def __init__(self, text: str, status: int, wait: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.wait = wait


class Broken(SourceUnavailable):
    """No whole answer came.

    Args:
        sent: Whether the request may have arrived.
    """

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class Api:
    """One server or workspace; a context manager.

    Args:
        target: Where it is and who we are there; its credential goes to this address alone.
        bounds: What is taken at most.
        clock: Seconds that only rise.

    Raises:
        BadSetting: A file with its credential cannot be read.
        SourceUnavailable: The file of certificates to trust cannot be used.
    """

    def __init__(
        self,
        target: Target,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = target.url
        self._bounds = bounds or Bounds()
        self._page = self._bounds.page
        self._clock = clock
        self._until = clock() + self._bounds.seconds
        self._taken = 0
        self._http = httpx.Client(
            # Unzipped, an answer cannot be larger than it was on its way.
            headers=target.headers() | {"Accept-Encoding": "identity"},
            verify=_trusted(target),
            follow_redirects=False,
            timeout=30.0,
        )

    def __enter__(self) -> Self:
        """Return the API itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    @property
    def host(self) -> str:
        """Host and port of its address."""
        return urlsplit(self._url).netloc

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """Return what is at *path*.

        Raises:
            SourceUnavailable: As all of these methods, where no good answer came.
        """
        return self._ask("GET", path, None, _read_again)

    def create(self, path: str, body: Row) -> Row:
        """Post *body* and return the row that was made of it."""
        made = self._ask("POST", path, body, _write_again)
        return _row(made, path)

    def change(self, path: str, body: Row) -> None:
        """Patch what is at *path*."""
        self._ask("PATCH", path, body, _write_again)

    def rows(self, route: str, **query: object) -> list[Row]:
        """Return all rows that a filter route has, in its order, none twice."""
        rows: dict[str, Row] = {}
        offset = 0
        while True:
            page, size = self._one_page(route, query | {"offset": offset})
            before = len(rows)
            rows |= {row["id"]: row for row in page}
            if len(page) < size:
                return list(rows.values())
            if len(rows) == before or len(rows) > self._bounds.rows:
                raise SourceUnavailable(f"{self.host} gives pages of {route} without end")
            offset += len(page)

    def _one_page(self, route: str, query: Row) -> tuple[list[Row], int]:
        """Return a page and how many rows it was to have: as many as this server allows."""
        try:
            found = self._ask("POST", route, query | {"limit": self._page}, _read_again)
        except Refused as refused:
            allowed = _ALLOWED.search(str(refused))
            if not allowed or not 0 < int(allowed[1]) < self._page:
                raise
            self._page = int(allowed[1])
            return self._one_page(route, query)
        if not isinstance(found, list):
            raise SourceUnavailable(f"{self.host} answers {route} with what is no list")
        return [_row(row, route) for row in found], self._page

    def _ask(
        self, method: str, path: str, body: Row | None, again: Callable[[Exception], bool | float]
    ) -> Any:  # noqa: ANN401 - JSON of any shape
        left = self._until - self._clock()
        if left <= 0:
            raise SourceUnavailable(f"{self.host} took too long for all that was asked")
        caller = stamina.RetryingCaller(attempts=self._bounds.attempts, timeout=left)
        text = self._answer(caller, again, method, path, body)
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError):
            raise SourceUnavailable(f"{self.host} answers {path} with what is no JSON") from None

    def _answer(
        self,
        caller: stamina.RetryingCaller,
        again: Callable[[Exception], bool | float],
        *request: Any,  # noqa: ANN401 - those of _once
    ) -> bytes:
        try:
            return caller(again, self._once, *request)
        except Refused as refused:
            if refused.status != HTTPStatus.FORBIDDEN or "CSRF" not in str(refused):
                raise
            self._take_csrf_token()
            return caller(again, self._once, *request)

    def _take_csrf_token(self) -> None:
        """Take the token that a server may want with each request that is no GET."""
        client = str(uuid4())
        token = json.loads(self._once("GET", f"csrf-token?client={client}", None))["token"]
        named = {"Prefect-Csrf-Token": str(token), "Prefect-Csrf-Client": client}
        self._http.headers.update(named)

    def _once(self, method: str, path: str, body: Row | None) -> bytes:
        try:
            with self._http.stream(method, f"{self._url}/{path}", json=body) as response:
                text = self._whole(response, path)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            told = f"{self.host} does not answer {path}: {type(error).__name__}"
            raise Broken(told, sent=sent) from None
        if response.is_success:
            return text
        raise self._refusal(response, path, text)

    def _whole(self, response: httpx.Response, path: str) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceUnavailable(
                f"{self.host} answers {path} compressed, which it was not asked"
            )
        text = bytearray()
        for chunk in response.iter_raw():
            text += chunk
            self._taken += len(chunk)
            if len(text) > self._bounds.answer_bytes or self._taken > self._bounds.total_bytes:
                raise SourceUnavailable(f"{self.host} answers {path} with more than is taken")
            if self._clock() > self._until:
                raise SourceUnavailable(f"{self.host} took too long to answer {path}")
        return bytes(text)

    def _refusal(self, response: httpx.Response, path: str, text: bytes) -> SourceUnavailable:
        if response.is_redirect:
            to = shown(response.headers.get("location", ""))
            return SourceUnavailable(
                f"{self.host} answers {path} with a redirect to {to}, which is not followed: "
                "name the API's own address in PREFECT_API_URL"
            )
        status = response.status_code
        reason = f"{self.host} answers {path} with {status}: {shown(text.decode(errors='replace'))}"
        return Refused(reason, status, _seconds(response.headers.get("retry-after", "")))


def _trusted(target: Target) -> ssl.SSLContext | bool:
    if not target.verify or target.ca_file is None:
        return target.verify
    try:
        return ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError):
        told = f"the certificates of target {target.name}, {target.ca_file}, cannot be read"
        raise SourceUnavailable(told) from None


def quoted(name: str) -> str:
    """Return a name as a part of a path; one of dots alone would be taken for a step up."""
    return quote(name, safe="").replace(".", "%2E")


def shown(text: str, longest: int = 200) -> str:
    """Return what others wrote as one harmless line of ASCII."""
    line = json.dumps(text)[1:-1]
    return line if len(line) <= longest else f"{line[:longest]}..."


def _row(value: object, path: str) -> Row:
    try:
        if isinstance(value, dict) and UUID(value["id"]):
            return value
    except (KeyError, ValueError, AttributeError, TypeError):
        pass
    raise SourceUnavailable(f"the API answers {path} with what is no object of Prefect's")


def _read_again(error: Exception) -> bool | float:
    if isinstance(error, Refused):
        return _waited(error) if error.status in _READS_AGAIN else False
    return isinstance(error, Broken)


def _write_again(error: Exception) -> bool | float:
    if isinstance(error, Refused):
        return _waited(error) if error.status in _WRITES_AGAIN else False
    return isinstance(error, Broken) and not error.sent


def _waited(error: Refused) -> bool | float:
    return True if error.wait is None else error.wait


def _seconds(text: str) -> float | None:
    """Return what Retry-After says, a minute at most; Prefect gives it in seconds."""
    return min(float(text), timedelta(minutes=1).total_seconds()) if text.isdecimal() else None
