"""The folder of reports: their names, and which is the newest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("html", "md", "json")
KEPT = 5
MAX_BYTES = 64 * 1024 * 1024

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"report-([A-Za-z0-9_.-]{1,63})-(\d{8}T\d{6}Z)\.(html|md|json)", re.ASCII)
# As `report.outputs` calls a file before it is whole.
_HALF = re.compile(rf"\.{_NAME.pattern}\.\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One report in one format; *made* is when its making began."""

    path: Path
    target: str
    made: datetime


class Reports:
    """The reports in *folder*; every method reads or writes the disk.

    Files are called ``report-<target>-<time>.<format>``; others are left alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, target: str, made: datetime, form: str) -> Path:
        """Return where the report of a target that is made now belongs."""
        return self.folder / f"report-{target}-{made.astimezone(UTC).strftime(_STAMP)}.{form}"

    def newest(self, form: str, target: str | None = None) -> ReportFile | None:
        """Return the newest report in a format, of one target or of any; None without one."""
        found = (each for each in self._all() if each.path.suffix == f".{form}")
        return max(
            (each for each in found if target in (None, each.target)),
            key=lambda each: each.made,
            default=None,
        )

    def read(self, form: str, target: str | None = None) -> bytes | None:
        """Return the newest report; None without one that can be read."""
        file = self.newest(form, target)
        try:
            if file is None or file.path.stat().st_size > MAX_BYTES:
                return None
            return file.path.read_bytes()
        except OSError:
            return None

    def thin_out(self, target: str) -> None:
        """Keep the newest reports of a target, whatever their formats.

        Call it when none is being made: what a child that was killed has left behind goes too.
        """
        own = [each for each in self._all() if each.target == target]
        kept = sorted({each.made for each in own}, reverse=True)[:KEPT]
        for each in own:
            if each.made not in kept:
                each.path.unlink(missing_ok=True)
        for path in self.folder.glob(f".report-{target}-*"):
            if (name := _HALF.fullmatch(path.name)) and name[1] == target:
                path.unlink(missing_ok=True)

    def _all(self) -> Iterator[ReportFile]:
        try:
            paths = list(self.folder.iterdir())
        except OSError:
            return
        for path in paths:
            # A link leads anywhere, and who reads a pipe may wait for ever.
            name = _NAME.fullmatch(path.name)
            if name and path.is_file() and not path.is_symlink():
                made = _moment(name[2])
                if made is not None:
                    yield ReportFile(path, name[1], made)


def _moment(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
