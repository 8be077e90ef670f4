"""The routes for people and their programs: the page, the runbooks, reports, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from fastapi import Request, Response

from prefect_exporter.health.document import status_document
from prefect_exporter.page import render_page
from prefect_exporter.report.rendering.policy import policy
from prefect_exporter.reports import Reports
from prefect_exporter.responses import content, page, plain
from prefect_exporter.routes import METRICS, PAGE, Front, Route
from prefect_exporter.runbooks import Runbooks

HTML, PLAIN, JSON, MARKDOWN = "text/html", "text/plain", "application/json", "text/markdown"
TARGET = ("target",)
# A target's name has 63 characters at most.
SHOWN_CHARACTERS = 63
_HEAD_BYTES = 4_096

_NO_RUNBOOKS = "no runbooks came with this exporter; read docs/alerts.md of prefect-observability"


def page_routes(
    front: Front, parts: Collection[str], alerts: str, reports: Reports
) -> tuple[Route, ...]:
    """Return the routes that belong to the page; *alerts* are the runbooks, "" for none."""
    documents = Runbooks(alerts) if alerts else None

    async def status_page() -> Response:
        links = METRICS in parts
        health = await front.health()
        render = partial(render_page, front.status(), health, links_metrics=links)
        return page(render, renews=True)

    async def status_json() -> Response:
        health = await front.health()
        return content(status_document(front.status(), health), JSON)

    async def runbooks() -> Response:
        if documents is None:
            return plain(_NO_RUNBOOKS, HTTPStatus.NOT_FOUND)
        return page(documents.page)

    async def failures(request: Request) -> Response:
        return _failures(front, request.query_params.get("target"))

    found = {200: (HTML,), 404: (PLAIN,)}
    return (
        Route(PAGE, status_page, {200: (HTML,)}, part=PAGE),
        Route("/status.json", status_json, {200: (JSON,)}, part=PAGE),
        Route("/runbooks", runbooks, found, part=PAGE),
        Route(
            "/api/failures",
            failures,
            {200: (JSON,), 400: (PLAIN,), 404: (PLAIN,), 503: (PLAIN,)},
            query=TARGET,
            part=PAGE,
        ),
        _report("/report", "html", HTML, reports),
        _report("/report.md", "md", MARKDOWN, reports),
        _report("/report.json", "json", JSON, reports),
    )


def _report(path: str, form: str, media_type: str, reports: Reports) -> Route:
    """Return the route of the newest report in one format."""

    async def answer(request: Request) -> Response:
        target = request.query_params.get("target")
        body = await asyncio.to_thread(reports.read, form, target)
        if body is None:
            return plain(_no_report(reports, form), HTTPStatus.NOT_FOUND)
        return content(body, media_type, _policy(body) if form == "html" else None)

    answers = {200: (media_type,), 404: (PLAIN,)}
    return Route(path, answer, answers, query=TARGET, part=PAGE)


def _policy(report: bytes) -> str:
    """Return what a browser may do with a report; who frames it, no file can say of itself."""
    return f"{policy(report[:_HEAD_BYTES].decode(errors='replace'))}; frame-ancestors 'none'"


def _no_report(reports: Reports, form: str) -> str:
    path = reports.path("NAME", datetime.now(UTC), form)
    return (
        "no report has been made yet. Set PREFECT_EXPORTER_REPORT_SCHEDULE, for example to "
        f"0 6 * * 1, or make one:\nprefect-exporter report --target NAME --output {path}"
    )


def _failures(front: Front, target: str | None) -> Response:
    names = [each.name for each in front.status().targets]
    if target is None and len(names) != 1:
        known = ", ".join(sorted(names)[:10]) or "none"
        return plain(f"give ?target=NAME; known are {known}", HTTPStatus.BAD_REQUEST)
    name = names[0] if target is None else target
    if name not in names:
        return plain(no_target(name), HTTPStatus.NOT_FOUND)
    body = front.failures(name)
    if body is None:
        why = "failures are not known now; the page says how the collector failure_groups is"
        return plain(why, HTTPStatus.SERVICE_UNAVAILABLE)
    return content(body, JSON)


def no_target(name: str) -> str:
    """Return one line that says that there is no such target, whatever it is called."""
    return f"no target is called {name[:SHOWN_CHARACTERS]!a}"
