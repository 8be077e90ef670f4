"""A real Chromium for tests: Debian's, driven by Playwright, which reaches this machine alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api

DESKTOP = (1280, 900)
PHONE = (360, 740)
"""Width and height of a window in CSS pixels."""

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_HERE = {"127.0.0.1", "localhost", "::1"}


class NoBrowser(Exception):
    """There is no Chromium on this machine."""


@dataclass
class Visit:
    """One page in a window of its own.

    Args:
        page: Playwright's; all that a person can do.
        errors: What the console said as error, uncaught exceptions and refusals of the page's
            policy included.
        requests: Addresses that the page asked for, itself included.
        outside: Those of them that lead off this machine; none was let through.
    """

    page: sync_api.Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def barriers(self) -> list[str]:
        """Return what axe finds that keeps people from using the page: rule, place and reason."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']} {json.dumps(node['target'])}: {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """Return how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what the window shows as PNG, or the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=whole, animations="disabled")


class Browser:
    """A browser that runs; get it from the fixture ``browser``."""

    def __init__(self, chromium: sync_api.Browser) -> None:
        self._chromium = chromium

    @contextmanager
    def visit(
        self,
        address: str | Path,
        *,
        window: tuple[int, int] = DESKTOP,
        colours: Literal["light", "dark"] = "light",
        javascript: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Iterator[Visit]:
        """Open a page, of a server on this machine or of a file, with nothing remembered.

        *headers* go with each request, for example ``Authorization``.
        """
        context = self._chromium.new_context(
            viewport={"width": window[0], "height": window[1]},
            color_scheme=colours,
            java_script_enabled=javascript,
            extra_http_headers=headers or {},
            reduced_motion="reduce",
            timezone_id="UTC",
        )
        try:
            visit = Visit(context.new_page())
            _listen(visit)
            visit.page.goto(address.as_uri() if isinstance(address, Path) else address)
            yield visit
        finally:
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser.

    While it runs, ``asyncio.run`` does not work in this thread: Playwright has its own loop there.

    Raises:
        NoBrowser: There is none.
    """
    # The sandbox of Chromium does not start for root; the pages are ours.
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    program = _program()
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=as_root) as launched,
    ):
        yield Browser(launched)


def _listen(visit: Visit) -> None:
    def said(message: sync_api.ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    def answer(route: sync_api.Route) -> None:
        url = route.request.url
        visit.requests.append(url)
        address = urlsplit(url)
        if address.scheme in {"file", "data", "blob"} or address.hostname in _HERE:
            route.continue_()
        else:
            visit.outside.append(url)
            route.abort()

    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.route("**/*", answer)


def _program() -> str:
    found = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser("no Chromium: apt-get install chromium-headless-shell, or make setup")
    return found
