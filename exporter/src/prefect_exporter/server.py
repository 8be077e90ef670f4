"""The HTTP routes: `/metrics`, the health answers, and a live page for people.

Every answer is made from values that are ready; a request never waits for Prefect or the disk.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from prefect_exporter.exposition import Exposition
from prefect_exporter.page import render_page, unready_line
from prefect_exporter.status import Status

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REALM = 'realm="prefect-exporter"'
_SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Front(Protocol):
    """What the routes show; every method answers at once."""

    def exposition(self) -> Exposition:
        """Return the last published metrics."""
        ...

    def served(self, version: int) -> None:
        """Learn that a scraper was sent the whole of that publication."""
        ...

    def status(self) -> Status:
        """Return how the exporter is doing now."""
        ...


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may read `/metrics` and `/`: everyone, unless a credential is set.

    Args:
        basic: ``user:password``.
        bearer: A token; where both are set, either is enough.
    """

    basic: SecretStr | None = None
    bearer: SecretStr | None = None

    def allows(self, authorization: str) -> bool:
        """Return whether the ``Authorization`` header, "" where there is none, lets in."""
        scheme, _, given = authorization.partition(" ")
        expected = self._expected()
        # Compared for every request alike, so that the time taken tells nothing.
        matches = hmac.compare_digest(
            given.strip().encode(), expected.get(scheme.lower(), "").encode()
        )
        return not expected or (matches and scheme.lower() in expected)

    def challenge(self) -> str:
        """Return the ``WWW-Authenticate`` header of a refusal."""
        schemes = {"basic": f'Basic {_REALM}, charset="UTF-8"', "bearer": f"Bearer {_REALM}"}
        return ", ".join(schemes[scheme] for scheme in self._expected())

    def _expected(self) -> dict[str, str]:
        expected = {}
        if self.basic is not None:
            expected["basic"] = b64encode(self.basic.get_secret_value().encode()).decode()
        if self.bearer is not None:
            expected["bearer"] = self.bearer.get_secret_value()
        return expected


def create_app(front: Front, *, auth: Auth) -> FastAPI:
    """Return the application that serves *front*."""

    async def guard(request: Request) -> None:
        if not auth.allows(request.headers.get("authorization", "")):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": auth.challenge()}
            )

    async def metrics(request: Request) -> Response:
        return _Scrape(front, request)

    async def healthz() -> Response:
        return _plain("ok")

    async def readyz() -> Response:
        return _readiness(front.status())

    async def page() -> Response:
        return _page(front.status())

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, _refusal)
    guarded = [Depends(guard)]
    for path, answer, dependencies in (
        ("/metrics", metrics, guarded),
        ("/", page, guarded),
        ("/healthz", healthz, []),
        ("/readyz", readyz, []),
    ):
        app.add_api_route(path, answer, methods=["GET", "HEAD"], dependencies=dependencies)
    return app


class _Scrape(Response):
    """One answer to `/metrics`, which tells the front when it was sent whole."""

    def __init__(self, front: Front, request: Request) -> None:
        exposition = front.exposition()
        open_metrics = _prefers_openmetrics(request.headers.get("accept", ""))
        zipped = _weights(request.headers.get("accept-encoding", "")).get("gzip", 0) > 0
        match open_metrics, zipped:
            case True, True:
                body = exposition.openmetrics_gzip
            case True, False:
                body = exposition.openmetrics
            case False, True:
                body = exposition.text_gzip
            case _:
                body = exposition.text
        headers = {**_SAFE, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        super().__init__(
            body, headers=headers, media_type=OPENMETRICS_TYPE if open_metrics else TEXT_TYPE
        )
        self._front = front
        self._version = exposition.version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then report it, unless the scraper hung up before its end."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        # The server lets a write go on once nearly all that came before has left, so what is
        # asked after this empty one is whether the scraper stayed for the body.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        stayed = not await Request(scope, receive).is_disconnected()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if stayed and scope["method"] == "GET":
            self._front.served(self._version)


def _readiness(status: Status) -> Response:
    lines = [
        unready_line(row, status.at) for row in status.collectors if row.required and not row.fresh
    ]
    if status.ready:
        return _plain("ready")
    return _plain("\n".join(lines), HTTPStatus.SERVICE_UNAVAILABLE)


def _page(status: Status) -> Response:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {**_SAFE, "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(render_page(status, nonce), headers=headers)


def _plain(text: str, status: int = HTTPStatus.OK) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status, headers=_SAFE)


async def _refusal(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    answer = _plain(HTTPStatus(error.status_code).phrase, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def _prefers_openmetrics(accept: str) -> bool:
    weights = _weights(accept)
    offered = (
        weights.get("application/openmetrics-text", 0),
        weights.get("application/openmetrics-text;version=1.0.0", 0),
    )
    text = max(weights.get("text/plain", 0), weights.get("text/plain;version=0.0.4", 0))
    return max(offered) > 0 and max(offered) >= text


def _weights(header: str) -> dict[str, float]:
    """Return the weight of each choice in an ``Accept`` header, named with its version."""
    weights: dict[str, float] = {}
    for choice in header.lower().split(","):
        name, *parameters = (part.strip().replace('"', "") for part in choice.split(";"))
        given = dict(part.split("=", 1) for part in parameters if "=" in part)
        try:
            weight = float(given.get("q", "1"))
        except ValueError:
            weight = 0.0
        name += f";version={given['version']}" if "version" in given else ""
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights
