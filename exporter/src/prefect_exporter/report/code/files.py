"""The Python files below a path, within bounds, and those that were left out."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_exporter.report.words import count

MOST_FILES = 5_000
MOST_BYTES = 1_000_000
_NOT_SOURCES = frozenset(
    {"__pycache__", "build", "dist", "node_modules", "site-packages", "venv", "virtualenv"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """The files of one path; *notes* say what was left out."""

    root: Path
    files: Sequence[Path]
    notes: tuple[str, ...] = ()


def find(root: Path) -> Found:
    """Return the sources below *root*, or *root* itself where it is a file."""
    if size(root) <= MOST_BYTES:
        return Found(root, (root,))
    if not math.isinf(size(root)):
        return Found(root, (), (f"{root} is too large to be read.",))
    if not os.path.isdir(root):  # noqa: PTH112 - unlike Path.is_dir, it does not raise
        return Found(root, (), (f"There is no file or folder {str(root)!r}.",))
    files: list[Path] = []
    large = 0
    for path in _below(root):
        if len(files) >= MOST_FILES:
            return Found(
                root, files, (f"Only the first {MOST_FILES:,} files of {root} were read.",)
            )
        if size(path) > MOST_BYTES:
            large += 1
        else:
            files.append(path)
    notes = (f"Too large to be read, of {root}: {count(large, 'file')}.",) if large else ()
    return Found(root, files, notes)


def _below(root: Path) -> Iterator[Path]:
    """Yield files in order; no link is followed, so that a circle of them ends."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _has_sources(Path(folder, name)))
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(".py") and not path.is_symlink() and not math.isinf(size(path)):
                yield path


def size(path: Path) -> float:
    """Return the bytes of a file; infinite where it is none that may be looked at."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return math.inf
    return status.st_size if stat.S_ISREG(status.st_mode) else math.inf


def _has_sources(folder: Path) -> bool:
    return (
        not folder.name.startswith(".")
        and folder.name not in _NOT_SOURCES
        and math.isinf(size(folder / "pyvenv.cfg"))
    )
