"""Finds PostgreSQL's programs: a machine may have several versions of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backup.errors import SourceUnavailable

_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Installed:
    """A program, and the major version of its PostgreSQL."""

    path: Path
    major: int


@cache
def newest(program: str) -> Installed:
    """Return the newest *program* of this machine.

    Raises:
        SourceUnavailable: There is none.
    """
    on_path = shutil.which(program)
    paths = {*_DEBIAN.glob(f"*/bin/{program}"), *([Path(on_path)] if on_path else [])}
    found = [installed for path in sorted(paths) if (installed := _installed(path))]
    if not found:
        raise SourceUnavailable(f"PostgreSQL's {program} is not installed on this machine")
    return max(found, key=lambda each: each.major)


def _installed(path: Path) -> Installed | None:
    # Debian's wrapper on PATH takes the version of a server that may not be there.
    said = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)
    major = re.search(r"\d+", said.stdout)
    return Installed(path, int(major[0])) if said.returncode == 0 and major else None
