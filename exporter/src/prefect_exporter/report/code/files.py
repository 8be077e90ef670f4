"""The Python files below a path, within bounds, and those that were left out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    if root.is_file():
        return Found(root, (root,))
    if not root.is_dir():
        return Found(root, (), (f"there is no file or folder {str(root)!r}",))
    files: list[Path] = []
    large = 0
    for path in _below(root):
        if len(files) >= MOST_FILES:
            return Found(root, files, (f"only the first {MOST_FILES} files of {root} were read",))
        if path.stat().st_size > MOST_BYTES:
            large += 1
        else:
            files.append(path)
    notes = (f"{large} files of {root} are too large to be read",) if large else ()
    return Found(root, files, notes)


def _below(root: Path) -> Iterator[Path]:
    """Yield files in order; no link is followed, so that a circle of them ends."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _has_sources(Path(folder, name)))
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(".py") and path.is_file() and not path.is_symlink():
                yield path


def _has_sources(folder: Path) -> bool:
    return (
        not folder.name.startswith(".")
        and folder.name not in _NOT_SOURCES
        and not (folder / "pyvenv.cfg").exists()
    )
