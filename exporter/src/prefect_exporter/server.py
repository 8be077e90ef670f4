"""The HTTP routes: `/metrics`, the health answers, and a live page for people with what is near it.

Every answer is made from values that are ready; a request never waits for Prefect, and only one for
a report reads the disk, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.params import Security
from fastapi.security.http import HTTPBase
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from prefect_exporter.negotiation import prefers_openmetrics, weights
from prefect_exporter.page import of_target, unready_line
from prefect_exporter.page_routes import no_target, page_routes
from prefect_exporter.reports import Reports
from prefect_exporter.responses import SAFE, plain
from prefect_exporter.routes import METRICS, PAGE, Front, Route
from prefect_exporter.status import Status

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REALM = 'realm="prefect-exporter"'
_METHODS = ("GET", "HEAD")
_PLAIN = ("text/plain",)
_JSON = "application/json"
_STRING, _OBJECT = {"type": "string"}, {"type": "object"}


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may read `/metrics`, `/` and what belongs to it: everyone, unless a credential is set.

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
        return ", ".join(schemes[scheme] for scheme in self.schemes)

    @property
    def schemes(self) -> tuple[str, ...]:
        """Which schemes let in; none where everyone may read."""
        return tuple(self._expected())

    def _expected(self) -> dict[str, str]:
        expected = {}
        if self.basic is not None:
            expected["basic"] = b64encode(self.basic.get_secret_value().encode()).decode()
        if self.bearer is not None:
            expected["bearer"] = self.bearer.get_secret_value()
        return expected


def create_app(
    front: Front,
    *,
    auth: Auth,
    parts: Collection[str] = (METRICS, PAGE),
    alerts: str = "",
    reports: Reports | None = None,
) -> FastAPI:
    """Return the application that serves *front*.

    Its ``openapi()`` describes every route; it is not served, as those who scrape do not need it.

    Args:
        front: What is shown.
        auth: Who may read it.
        parts: ``METRICS``, ``PAGE`` or both; the health answers are always there.
        alerts: The runbooks as Markdown, which belong to ``PAGE``; "" where there are none.
        reports: The folder of reports, which belong to ``PAGE``; `reports` here, unless given.
    """
    app = FastAPI(
        title="Prefect exporter",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_exception_handler(HTTPException, _refusal)
    app.add_exception_handler(Exception, _crash)
    pages = page_routes(front, parts, alerts, reports or Reports(Path("reports")))
    for route in (*_routes(front), *pages):
        if route.part is None or route.part in parts:
            _add(app, route, auth)
    return app


def _routes(front: Front) -> tuple[Route, ...]:
    async def metrics(request: Request) -> Response:
        return _Scrape(front, request)

    async def healthz() -> Response:
        return plain("ok")

    async def readyz(request: Request) -> Response:
        return _readiness(front.status(), request.query_params.get("target"))

    return (
        Route(METRICS, metrics, {200: (TEXT_TYPE, OPENMETRICS_TYPE)}, part=METRICS),
        Route("/healthz", healthz, {200: _PLAIN}),
        Route("/readyz", readyz, {200: _PLAIN, 404: _PLAIN, 503: _PLAIN}, query=("target",)),
    )


def _add(app: FastAPI, route: Route, auth: Auth) -> None:
    async def guard(request: Request) -> None:
        if not auth.allows(request.headers.get("authorization", "")):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": auth.challenge()}
            )

    schemes = auth.schemes if route.part else ()
    # These are for the description alone; the guard is what lets in.
    described = [HTTPBase(scheme=each, scheme_name=each, auto_error=False) for each in schemes]
    dependencies = [Depends(guard), *map(Security, described)] if schemes else []
    answers = {**route.answers, **({401: _PLAIN} if schemes else {})}
    parameters = [{"name": each, "in": "query", "schema": _STRING} for each in route.query]
    # One route a method, as FastAPI gives the operations of one route the same id.
    for method in _METHODS:
        app.add_api_route(
            route.path,
            route.answer,
            methods=[method],
            operation_id=f"{method} {route.path}",
            response_class=Response,
            responses={status: _described(status, types) for status, types in answers.items()},
            openapi_extra={"parameters": parameters},
            dependencies=dependencies,
        )


def _described(status: int, types: tuple[str, ...]) -> dict[str, Any]:
    content = {each: {"schema": _OBJECT if each == _JSON else _STRING} for each in types}
    return {"description": HTTPStatus(status).phrase, "content": content}


class _Scrape(Response):
    """One answer to `/metrics`, which tells the front when it was sent whole."""

    def __init__(self, front: Front, request: Request) -> None:
        exposition = front.exposition()
        open_metrics = prefers_openmetrics(request.headers.get("accept", ""))
        page = exposition.openmetrics if open_metrics else exposition.text
        zipped = weights(request.headers.get("accept-encoding", "")).get("gzip", 0) > 0
        size = len(page.zipped) if zipped else page.size
        headers = {**SAFE, "Vary": "Accept, Accept-Encoding", "Content-Length": str(size)}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        super().__init__(
            headers=headers, media_type=OPENMETRICS_TYPE if open_metrics else TEXT_TYPE
        )
        self._pieces = (page.zipped,) if zipped else page.pieces()
        self._front = front
        self._version = exposition.version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then report it, unless the scraper hung up before its end."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        for piece in () if scope["method"] == "HEAD" else self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            # To unzip takes time that others may need, and a quick reader would not make it wait.
            await asyncio.sleep(0)
        # The server lets a write go on once nearly all that came before has left, so what is
        # asked after this empty one is whether the scraper stayed for the body.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        stayed = not await Request(scope, receive).is_disconnected()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if stayed and scope["method"] == "GET":
            self._front.served(self._version)


def _readiness(status: Status, target: str | None) -> Response:
    if target is not None:
        if target not in {each.name for each in status.targets}:
            return plain(no_target(target), HTTPStatus.NOT_FOUND)
        status = of_target(status, target)
    if status.ready:
        return plain("ready")
    lines = [
        unready_line(row, status.at) for row in status.collectors if row.required and not row.fresh
    ]
    return plain("\n".join(lines), HTTPStatus.SERVICE_UNAVAILABLE)


async def _refusal(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    answer = plain(HTTPStatus(error.status_code).phrase, error.status_code)
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework knows only the method of the first route that has the path.
        answer.headers["Allow"] = ", ".join(_METHODS)
    return answer


async def _crash(_request: Request, _error: Exception) -> Response:
    # The framework raises the error again once this is sent, so that it is logged.
    return plain("Internal Server Error", HTTPStatus.INTERNAL_SERVER_ERROR)
