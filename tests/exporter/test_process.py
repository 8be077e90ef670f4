"""The exporter as a process: how it ends, comes back, and bears a bad disk or a wrong address."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from demo.processes import free_port
from misbehaving import Fault, MisbehavingPrefect

COMPLETED = 'outcome="completed",subflow="false"'
FINISHED = "prefect_flow_runs_finished_total{"
DEADLINE_SECONDS = 60


class Running:
    """One exporter process; its log goes to *folder*."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        clean = {name: text for name, text in os.environ.items() if "PREFECT" not in name}
        self.env = clean | {
            "PREFECT_API_URL": url,
            "PREFECT_EXPORTER_LISTEN_ADDRESS": self.address,
            "PREFECT_EXPORTER_STATE_PATH": str(folder / "ledger"),
            "PREFECT_EXPORTER_POLL_INTERVAL": "1s",
            "PREFECT_EXPORTER_REQUEST_ATTEMPTS": "1",
            "PREFECT_EXPORTER_HOLD": "1s",
            **{f"PREFECT_EXPORTER_{name}": value for name, value in settings.items()},
        }
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "prefect_exporter", "serve", env=self.env, stderr=log
            )
        await self.until(self._alive)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_SECONDS)

    async def get(self, path: str) -> httpx.Response:
        """Ask one of its routes."""
        async with httpx.AsyncClient(base_url=f"http://{self.address}", trust_env=False) as client:
            return await client.get(path)

    async def _alive(self) -> bool:
        try:
            return (await self.get("/healthz")).is_success
        except httpx.TransportError:
            return False

    async def value(self, start: str, part: str = "") -> float | None:
        """Return the first sample whose line starts so and holds *part*."""
        text = (await self.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith(start) and part in line]
        return float(lines[0].rpartition(" ")[2]) if lines else None

    async def counts(self, number: float) -> bool:
        """Return whether so many completions are published."""
        return await self.value(FINISHED, COMPLETED) == number

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds, or fail with the log."""
        for _ in range(DEADLINE_SECONDS * 10):
            if await holds():
                return
            await asyncio.sleep(0.1)
        pytest.fail(self.log())

    def log(self) -> str:
        """Return what it wrote."""
        return (self.folder / "log").read_text()


@asynccontextmanager
async def exporter(folder: Path, url: str, **settings: str) -> AsyncIterator[Running]:
    """Run an exporter until the block ends."""
    running = Running(folder, url, **settings)
    try:
        await running.start()
        yield running
    finally:
        if running.process.returncode is None:
            await running.end(signal.SIGKILL)


async def _completes(prefect: MisbehavingPrefect, running: Running, total: int) -> None:
    prefect.prefect.add_flow_run(at=datetime.now(UTC))
    await running.until(lambda: running.counts(float(total)))


def test_sigterm_ends_with_0_and_keeps_everything(tmp_path: Path) -> None:
    """SIGTERM ends the process within 5 s; the next one shows the counts, with Prefect down."""

    async def run() -> tuple[int, float]:
        async with MisbehavingPrefect() as prefect, exporter(tmp_path, prefect.url) as running:
            await running.until(lambda: _ready(running))
            await _completes(prefect, running, 1)
            began = asyncio.get_running_loop().time()
            code = await running.end(signal.SIGTERM)
            took = asyncio.get_running_loop().time() - began
            await prefect.misbehave(Fault.REFUSED)
            await running.start()
            assert await running.counts(1.0)
            await running.end(signal.SIGTERM)
            return code, took

    code, took = asyncio.run(run())

    assert 0 == code
    assert took < 5


def test_killed_in_a_poll_it_counts_on(tmp_path: Path) -> None:
    """After kill -9 while an answer is on its way, each completion is counted once."""

    async def run() -> float | None:
        async with MisbehavingPrefect() as prefect, exporter(tmp_path, prefect.url) as running:
            await running.until(lambda: _ready(running))
            await _completes(prefect, running, 1)
            await prefect.misbehave(Fault.DRIPS_FOREVER)
            asked = len(prefect.requests)
            await running.until(lambda: _more(prefect, asked))
            await running.end(signal.SIGKILL)
            await prefect.behave()
            await running.start()
            await _completes(prefect, running, 2)
            return await running.value(FINISHED, COMPLETED)

    assert 2.0 == asyncio.run(run())


async def _ready(running: Running) -> bool:
    return (await running.get("/readyz")).is_success


async def _more(prefect: MisbehavingPrefect, than: int) -> bool:
    return len(prefect.requests) > than


def test_second_process_on_a_ledger_ends_with_3(tmp_path: Path) -> None:
    """A second exporter on the same ledger says so in one line and leaves the first alone."""

    async def run() -> tuple[int, str]:
        async with MisbehavingPrefect() as prefect, exporter(tmp_path, prefect.url) as running:
            env = running.env | {
                "PREFECT_EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}",
            }
            second = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "prefect_exporter", "serve"), env=env, stderr=-1
            )
            _, told = await asyncio.wait_for(second.communicate(), DEADLINE_SECONDS)
            await running.until(lambda: _ready(running))
            assert second.returncode is not None
            return second.returncode, told.decode()

    code, told = asyncio.run(run())

    assert 3 == code
    assert (
        f"prefect-exporter: the ledger {tmp_path / 'ledger'} is held by another process: "
        "stop that one, or set another PREFECT_EXPORTER_STATE_PATH\n"
    ) == told


def test_newer_ledger_ends_with_3_and_is_left_alone(tmp_path: Path) -> None:
    """A ledger of a newer version is refused in one line, and not a byte of it changes."""
    path = tmp_path / "ledger"
    with sqlite3.connect(path) as con:
        con.execute("PRAGMA user_version = 99")
    con.close()
    before = path.read_bytes()
    running = Running(tmp_path, "http://127.0.0.1:9/api")
    done = subprocess.run(
        [sys.executable, "-m", "prefect_exporter", "serve"],
        env=running.env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert 3 == done.returncode
    (line,) = done.stderr.splitlines()
    assert "written by a newer prefect-exporter" in line
    assert before == path.read_bytes()


def test_damaged_ledger_is_moved_aside(tmp_path: Path) -> None:
    """A file that is no database is kept under another name; a metric and a line say so."""
    garbage = b"not a database " * 1000
    (tmp_path / "ledger").write_bytes(garbage)

    async def run() -> tuple[float | None, str]:
        async with MisbehavingPrefect() as prefect, exporter(tmp_path, prefect.url) as running:
            await running.until(lambda: _ready(running))
            await _completes(prefect, running, 1)
            replaced = await running.value("prefect_exporter_ledger_replaced_timestamp_seconds")
            return replaced, running.log()

    replaced, log = asyncio.run(run())
    (aside,) = tmp_path.glob("ledger.damaged-*")

    assert garbage == aside.read_bytes()
    assert replaced
    assert 1 == log.count('"ledger.replaced"')


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_keeps_values_and_recovers(small_disk: Path) -> None:
    """With the disk full, polls fail as "ledger" and values stay; with room, counting goes on."""
    filler = small_disk / "filler"

    async def run() -> None:
        async with MisbehavingPrefect() as prefect, exporter(small_disk, prefect.url) as running:
            await running.until(lambda: _ready(running))
            await _completes(prefect, running, 1)
            _fill(filler)
            # Enough that the file must grow.
            for _ in range(3000):
                prefect.prefect.add_flow_run(at=datetime.now(UTC))
            await running.until(lambda: _success(running, 0.0))
            assert (await running.value(FINISHED, COMPLETED) or 0.0) < 3001.0
            filler.unlink()
            await running.until(lambda: _success(running, 1.0))
            await running.until(lambda: running.counts(3001.0))
            assert "Traceback" not in running.log()

    asyncio.run(run())


def _fill(filler: Path) -> None:
    """Take all the room there is, however much of it the exporter takes meanwhile."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


async def _success(running: Running, wanted: float) -> bool:
    value = await running.value("prefect_exporter_collector_success", '"flow_runs"')
    return value == wanted


def test_wrong_address_is_told_in_one_line(tmp_path: Path) -> None:
    """An address that answers with a web page gives one line, goes on trying, is not ready."""

    async def run() -> tuple[list[dict[str, str]], httpx.Response, httpx.Response]:
        async with MisbehavingPrefect() as prefect:
            await prefect.misbehave(Fault.WEB_PAGE)
            async with exporter(tmp_path, prefect.url) as running:
                asked = len(prefect.requests)
                await running.until(lambda: _more(prefect, asked + 30))
                answers = await running.get("/readyz"), await running.get("/healthz")
                await prefect.behave()
                await running.until(lambda: _ready(running))
                lines = [json.loads(line) for line in running.log().splitlines()]
                return [line for line in lines if line["level"] == "warning"], *answers

    warnings, readyz, healthz = asyncio.run(run())

    (line,) = warnings
    assert "malformed" == line["kind"]
    assert "web page and not the Prefect API" in line["reason"]
    assert "PREFECT_API_URL" in line["reason"]
    assert 503 == readyz.status_code
    assert 200 == healthz.status_code


def _ignores_hangups(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = dict(line.split(":\t") for line in lines if line.startswith("Sig"))
    return bool(int(masks["SigIgn"], 16) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_hangup_at_the_start_ends_nothing(tmp_path: Path) -> None:
    """SIGHUP means to read the targets anew, also before there is anything to read them."""

    async def check() -> int | None:
        async with MisbehavingPrefect() as prefect:
            running = Running(tmp_path, prefect.url)
            with (tmp_path / "log").open("ab") as log:
                running.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "prefect_exporter", "serve", env=running.env, stderr=log
                )
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while not _ignores_hangups(running.process.pid):  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0.01)
                running.process.send_signal(signal.SIGHUP)
                await running.until(running._alive)  # noqa: SLF001 - as `start` waits
                return running.process.returncode
            finally:
                await running.end(signal.SIGKILL)

    assert None is asyncio.run(check())
