"""Reports on a schedule: one child process at a time makes them, with memory of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import structlog
from croniter import croniter

from prefect_exporter.durations import format_duration
from prefect_exporter.metrics import Family, Kind, Samples
from prefect_exporter.reports import FORMATS, Reports
from prefect_exporter.settings import Settings

LOOK_SECONDS = 10.0
TIMEOUT_SECONDS = 3_600.0
_TOLD_BYTES = 4_096

Command: TypeAlias = Callable[[str, Sequence[Path]], Sequence[str]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """How the last report of a target went.

    Args:
        succeeded: None before the first of this process.
        last_success: When the newest one that there is was begun; None where there is none.
    """

    succeeded: bool | None = None
    duration_seconds: float | None = None
    last_success: datetime | None = None


def _success(made: Made) -> Samples:
    if made.succeeded is not None:
        yield (), float(made.succeeded)


def _duration(made: Made) -> Samples:
    if made.duration_seconds is not None:
        yield (), made.duration_seconds


def _last_success(made: Made) -> Samples:
    if made.last_success is not None:
        yield (), made.last_success.timestamp()


FAMILIES = (
    Family(
        "prefect_exporter_report_success",
        Kind.GAUGE,
        "Whether the last report that was due could be made.",
        (),
        _success,
    ),
    Family(
        "prefect_exporter_report_duration_seconds",
        Kind.GAUGE,
        "How long the making of the last report took.",
        (),
        _duration,
    ),
    Family(
        "prefect_exporter_report_last_success_timestamp_seconds",
        Kind.GAUGE,
        "When the newest report was made.",
        (),
        _last_success,
    ),
)


def report_command(settings: Settings, folder: Path) -> Command:
    """Return the command line of a report: credentials come by the environment, never by it."""
    since = format_duration(settings.report_since_seconds)
    send = settings.report_send_to_file
    parent = str(os.getpid())

    def command(target: str, outputs: Sequence[Path]) -> Sequence[str]:
        written = [word for path in outputs for word in ("--output", str(path))]
        sent = ["--send-to-file", str(send)] if send else []
        state = ["--state", str(folder / f".reading-{target}.sqlite")]
        options = [
            "--target",
            target,
            "--since",
            since,
            "--quiet",
            "--fresh",
            *state,
            *written,
            *sent,
        ]
        # -P: whatever lies in the folder that the exporter was started in is not imported.
        return [sys.executable, "-P", "-m", "prefect_exporter.report_child", parent, *options]

    return command


class ReportSchedule:
    """Make a report of each target whenever it is due; one that was missed is made at once.

    Args:
        schedule: Five fields of cron, in UTC.
        reports: Where they go.
        command: The command line that makes one, from its target and the files to write.
        now: The time, with a zone.
        timeout_seconds: After how long one is given up.
    """

    def __init__(
        self,
        schedule: str,
        reports: Reports,
        command: Command,
        now: Callable[[], datetime],
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._schedule = schedule
        self._reports = reports
        self._command = command
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._since: dict[str, datetime] = {}
        self._made: Mapping[str, Made] = {}

    def all_made(self) -> Mapping[str, Made]:
        """Return how the last report of each target went."""
        return self._made

    async def run(
        self, targets: Callable[[], Collection[str]], look_seconds: float = LOOK_SECONDS
    ) -> None:
        """Look whether one is due, until cancelled; a child that works then is killed."""
        while True:
            try:
                await self.look(targets())
            except Exception:  # noqa: BLE001  # a full disk, say, must not end the watch over all
                _log.exception("report.schedule_failed")
            await asyncio.sleep(look_seconds)

    async def look(self, targets: Collection[str]) -> None:
        """Make the reports that are due, one after the other."""
        self._made = {name: self._made.get(name) or await self._known(name) for name in targets}
        for target in sorted(targets):
            if self.due(target) <= self._now():
                self._since[target] = self._now()
                await self._make(target)

    async def _known(self, target: str) -> Made:
        newest = await asyncio.to_thread(self._reports.newest, "html", target)
        self._since.setdefault(target, newest.made if newest else self._now())
        return Made(last_success=newest.made if newest else None)

    def due(self, target: str) -> datetime:
        """Return when the next report of a target is due, in UTC."""
        since = self._since[target].astimezone(UTC)
        found: datetime = croniter(self._schedule, since).get_next(datetime)
        return found

    async def _make(self, target: str) -> None:
        began = self._now()
        files = [self._reports.path(target, began, form) for form in FORMATS]
        problem = await self._run(target, files)
        seconds = (self._now() - began) / timedelta(seconds=1)
        if problem is None:
            _log.info("report.made", target=target, duration_seconds=seconds, path=str(files[0]))
        else:
            _log.warning("report.failed", target=target, reason=problem)
        # In any case: one that could not be sent is written all the same.
        await asyncio.to_thread(self._reports.thin_out, target)
        last = began if problem is None else self._made[target].last_success
        self._made = {**self._made, target: Made(problem is None, seconds, last)}

    async def _run(self, target: str, files: Sequence[Path]) -> str | None:
        """Run the child to its end; return what it says of a failure, in one line."""
        try:
            await asyncio.to_thread(self._reports.folder.mkdir, parents=True, exist_ok=True)
            child = await asyncio.create_subprocess_exec(
                *self._command(target, files),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                told = await _last_line(child)
                code = await child.wait()
        except TimeoutError:
            return f"was cut off after {self._timeout_seconds:.0f} s"
        finally:
            await _end(child)
        if code == 0 and files[0].exists():
            return None
        return told or f"ended with exit code {code} and no word"


async def _last_line(child: asyncio.subprocess.Process) -> str:
    """Return the last line that the child writes, however much it writes."""
    assert child.stderr is not None  # noqa: S101 - it was asked for
    kept = b""
    while block := await child.stderr.read(_TOLD_BYTES):
        kept = (kept + block)[-_TOLD_BYTES:]
    lines = kept.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kill the child if it still works; it writes its files whole or not at all."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
