"""A front and a service that stand in for the exporter's inside, and who asks its routes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any, Self

import httpx
import uvicorn
from fastapi import FastAPI

from healths import World
from prefect_exporter.exposition import Exposition, Page
from prefect_exporter.health.model import Health
from prefect_exporter.health.whole import health_of
from prefect_exporter.listener import bind
from prefect_exporter.server import Auth, create_app
from prefect_exporter.status import CollectorStatus, Configuration, Status, TargetStatus
from prefect_exporter.values import Address

NOW = datetime(2026, 11, 21, 14, 50, 3, tzinfo=UTC)
WORKING = CollectorStatus(
    target="default",
    name="flow_runs",
    required=True,
    polls=12_345,
    succeeded=True,
    last_success=NOW - timedelta(seconds=4),
    duration_seconds=0.084,
    fresh=True,
    error_kind=None,
    error=None,
)
STARTING = replace(
    WORKING, polls=0, succeeded=None, last_success=None, duration_seconds=0.0, fresh=False
)
FAILING = replace(
    WORKING,
    name="task_runs",
    succeeded=False,
    fresh=False,
    last_success=NOW - timedelta(minutes=32),
    error_kind="unauthorized",
    error="task_runs/filter: HTTP status 401",
)

# The headers of every answer; a page has a content policy of its own.
SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def status(*collectors: CollectorStatus) -> Status:
    """Return a status of one target with these collectors."""
    return Status(
        at=NOW,
        started=NOW - timedelta(hours=2),
        version="0.1.0",
        targets=(TargetStatus("default", "http://127.0.0.1:4200/api", "3.8.8"),),
        collectors=collectors,
        ledger_path="/var/lib/prefect-exporter/ledger.sqlite",
        ledger_bytes=48_300_000,
        series=18_452,
        held_series=12,
        configuration=Configuration(NOW),
    )


def exposition(text: bytes = b"up 1\n") -> Exposition:
    """Return a publication with version 7."""
    return Exposition(7, page_of(text), page_of(text + b"# EOF\n"))


def plain(page: Page) -> bytes:
    """Return a page as it is sent to who takes no gzip."""
    return b"".join(page.pieces())


def page_of(text: bytes) -> Page:
    """Return a page as it is kept."""
    return Page(gzip.compress(text), len(text))


def ask_of(
    app: FastAPI, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return the application's answer to one request."""

    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(exchange())


@dataclass
class FakeService:
    """Shows what it was given, and remembers what was asked of it.

    Args:
        enter: Raised instead of opening, where given.
        crash: Raised by the polls, where given.
    """

    published: Exposition = field(default_factory=exposition)
    now: Status = field(default_factory=lambda: status(WORKING))
    prefect: Health = field(default_factory=lambda: health_of([World().readings()]))
    failed: bytes | None = b"{}"
    enter: Exception | None = None
    crash: Exception | None = None
    scrapes: list[int] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    def exposition(self) -> Exposition:
        """Return what was published."""
        return self.published

    def served(self, version: int) -> None:
        """Remember the version."""
        self.scrapes.append(version)

    def status(self) -> Status:
        """Return the status that was given."""
        return self.now

    async def health(self) -> Health:
        """Return the health that was given."""
        return self.prefect

    def failures(self, _target: str) -> bytes | None:
        """Return the failures that were given."""
        return self.failed

    async def __aenter__(self) -> Self:
        """Open, or fail as told."""
        if self.enter is not None:
            raise self.enter
        self.story.append("opened")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Close."""
        self.story.append("closed")

    async def run(self) -> None:
        """Poll until cancelled, or fail as told."""
        self.story.append("polls")
        if self.crash is not None:
            raise self.crash
        try:
            await asyncio.Event().wait()
        finally:
            self.story.append("polls ended")


@contextmanager
def serving(service: FakeService, *, auth: Auth | None = None, **apps: Any) -> Iterator[str]:  # noqa: ANN401 - the arguments of create_app
    """Serve until left, in a thread, as a browser needs it; yield the address of the page."""
    app = create_app(service, auth=auth or Auth(), **apps)
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off")
    with closing(bind(Address("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield "http://{}:{}/".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()
