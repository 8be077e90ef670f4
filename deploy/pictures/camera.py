"""Draw a recording with Grafana's components in a browser, and keep the picture."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pictures.recording import Recording

BUILD = Path(__file__).resolve().parents[2] / ".pictures"
"""Where the packages of ``package.json`` and what is built of them are; git does not see it."""

DESKTOP_PX = 1600
PHONE_PX = 420

_SOURCE = Path(__file__).resolve().parent
_ICONS = BUILD / "node_modules/@grafana/ui/dist/public/img/icons"
_BUNDLE = BUILD / "page"
_WITHIN_SECONDS = 120
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_LOADERS = {".woff2": "dataurl", ".woff": "dataurl", ".svg": "dataurl", ".ttf": "empty"}


class CameraError(Exception):
    """What a picture needs is missing or failed."""


def build() -> None:
    """Bring the packages where they are not there yet, and bundle the page.

    Raises:
        CameraError: There is no npm, or it or the bundler failed.
    """
    BUILD.mkdir(exist_ok=True)
    (BUILD / ".gitignore").write_text("*\n")
    for name in ("package.json", "package-lock.json"):
        _install_new(name)
    if not _ICONS.is_dir():
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=BUILD)
    shutil.copytree(_SOURCE / "page", BUILD / "source", dirs_exist_ok=True)
    _run(_bundler(), cwd=BUILD)
    shutil.copy(_SOURCE / "page" / "index.html", _BUNDLE)
    shutil.copytree(_ICONS, _BUNDLE / "public/build/img/icons", dirs_exist_ok=True)


def photograph(recording: Recording, picture: Path, *, width: int = DESKTOP_PX) -> None:
    """Write the picture of a recording as PNG, as high as the dashboard is.

    Raises:
        CameraError: There is no browser, or the page could not be drawn.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-pictures-") as folder:
        place = Path(folder)
        shutil.copytree(_BUNDLE, place / "page")
        (place / "page" / "board.json").write_text(json.dumps(recording))
        with _served(place / "page") as url:
            browser = _Browser(place / "profile", url, width)
            browser.shoot(place / "picture.png", browser.height())
        _run(["node", str(BUILD / "source" / "shrink.mjs"), str(place / "picture.png")], cwd=BUILD)
        shutil.copy(place / "picture.png", picture)


class _Browser:
    """A headless browser that opens one page, anew for each question."""

    def __init__(self, profile: Path, url: str, width: int) -> None:
        self._profile = profile
        self._url = url
        self._width = width

    def height(self) -> int:
        """Return how high the page becomes; raises `CameraError` where it failed."""
        page = self._open("--dump-dom", height=1000)
        ready = re.search(r"<title>ready (\d+)</title>", page)
        if ready is None:
            raise CameraError(f"the page was not drawn: {page[-2000:]}")
        return int(ready[1])

    def shoot(self, picture: Path, height: int) -> None:
        """Write what the page looks like in a window so high."""
        self._open(f"--screenshot={picture}", height=height)

    def _open(self, action: str, *, height: int) -> str:
        # The sandbox of Chromium does not start for root; the page is ours, and served from here.
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = [
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={self._profile}",
            f"--window-size={self._width},{height}",
            "--virtual-time-budget=10000",
        ]
        return _run([_program(), *as_root, *flags, action, self._url])


def _install_new(name: str) -> None:
    wanted, there = (_SOURCE / name).read_text(), BUILD / name
    if not there.is_file() or there.read_text() != wanted:
        shutil.rmtree(BUILD / "node_modules", ignore_errors=True)
        there.write_text(wanted)


def _bundler() -> Sequence[str]:
    return [
        "node_modules/.bin/esbuild",
        "source/main.jsx",
        "--bundle",
        "--minify",
        f"--outfile={_BUNDLE}/main.js",
        "--define:global=window",
        '--define:process.env.NODE_ENV="production"',
        "--log-level=error",
        *(f"--loader:{suffix}={loader}" for suffix, loader in _LOADERS.items()),
    ]


def _program() -> str:
    found = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        raise CameraError("no browser: apt-get install chromium-headless-shell")
    return found


def _run(command: Sequence[str], *, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=_WITHIN_SECONDS
        )
    except FileNotFoundError as error:
        raise CameraError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise CameraError(f"{command[0]} failed: {error.stderr[-2000:]}") from error
    return done.stdout


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing of each file."""
