"""The exporter and the collector as processes, with a recorded Prefect behind them."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Self

import httpx
import pytest

from demo.processes import Process, Program, free_port
from misbehaving import MisbehavingPrefect

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "otel-collector"


def built() -> Path:
    """Return the collector's program, built where that was not done; fail the test if it cannot."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "otel-collector")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = done.stderr.splitlines()[-1:]
        pytest.fail(f"no collector; `make otel-collector` builds it: {why}", pytrace=False)
    return Path(done.stdout.strip())


class Prefect:
    """A recorded Prefect at work in a thread of its own, so that tests need no event loop.

    A context manager; ``url`` is what ``PREFECT_API_URL`` would be.
    """

    def __enter__(self) -> Self:
        """Serve."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = MisbehavingPrefect()
        self._run(self._server.__aenter__())
        self.url = self._server.url
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop serving."""
        self._run(self._server.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def complete(self, state: str = "COMPLETED", **labels: str) -> None:
        """Let a flow run with these labels and a task run enter *state* now."""
        self._run(self._complete(state, labels))

    async def _complete(self, state: str, labels: dict[str, str]) -> None:
        # Without an await, and so between two answers.
        now = datetime.now(UTC)
        self._server.prefect.add_flow_run(state, at=now)
        self._server.prefect.flow_runs[-1]["labels"] = labels
        self._server.prefect.add_task_run(state, at=now)

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@dataclass
class Exporter:
    """An exporter whose ledger and log are in *folder*; not started yet.

    Args:
        settings: By their names without the prefix.
        ca: The certificate that signed its own, where it has one.
    """

    folder: Path
    url: str
    settings: dict[str, str]
    ca: Path | None = None

    def __post_init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.process = self._process()

    def _process(self) -> Process:
        settings = {
            "LISTEN_ADDRESS": self.address,
            "STATE_PATH": str(self.folder / "ledger"),
            "POLL_INTERVAL": "1s",
            "HOLD": "20s",
        }
        names = (settings | self.settings).items()
        env = _clean() | {f"PREFECT_EXPORTER_{name}": text for name, text in names}
        program = Program(
            name="exporter",
            argv=[sys.executable, "-m", "prefect_exporter", "serve"],
            env=env | {"PREFECT_API_URL": self.url},
            ready=lambda: self._get("/healthz").is_success,
        )
        return Process(program, log=self.folder / "exporter.log", cwd=self.folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = self._process()
        self.process.start()
        self.process.wait_ready()

    def openmetrics(self) -> str:
        """Return what it exposes."""
        return self._get("/metrics", Accept="application/openmetrics-text").text

    def _get(self, path: str, **headers: str) -> httpx.Response:
        scheme = "https" if self.ca else "http"
        context = ssl.create_default_context(cafile=self.ca)
        with httpx.Client(verify=context, trust_env=False, timeout=5) as client:
            return client.get(f"{scheme}://{self.address}{path}", headers=headers)


@contextmanager
def exporter(
    folder: Path, url: str, settings: dict[str, str] | None = None, *, ca: Path | None = None
) -> Iterator[Exporter]:
    """Run an exporter until the block ends."""
    running = Exporter(folder, url, settings or {}, ca)
    try:
        running.start()
        yield running
    finally:
        running.process.stop()


@contextmanager
def collector(program: Path, folder: Path, *files: Path, **env: str) -> Iterator[Process]:
    """Run a collector with these configuration files until the block ends.

    Its metrics about itself are off: all collectors of a machine would want the same port.
    """
    argv = [str(program), *(f"--config={path}" for path in files)]
    running = Process(
        Program(
            name="collector",
            argv=[*argv, "--set=service.telemetry.metrics.level=none"],
            env=_clean() | env,
            ready=lambda: True,
        ),
        log=folder / f"collector-{free_port()}.log",
        cwd=folder,
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _clean() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if "PREFECT" not in name}
