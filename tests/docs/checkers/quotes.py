"""Blocks that show a file of the repository, whole or an excerpt of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docs.blocks import ROOT, Block

# As in: `app.py`, whole; `runs.yaml` in `deploy/otel-collector/`, whole.
_WHOLE = re.compile(r"`([\w./-]+)`(?: in `([\w./-]+)`)?, whole\b")
# As in: From `etl/writing.py`.
_EXCERPT = re.compile(r"\b[Ff]rom `([\w./-]+\.\w+)`[^.]*:$")


def quoted(block: Block) -> Iterator[str] | None:
    """Return what is wrong with a quote, or None for a block that is none."""
    if found := _WHOLE.search(block.before):
        return _whole(block, found[2] or "", found[1])
    if found := _EXCERPT.search(block.before):
        return _excerpt(block, found[1])
    return None


def is_quote(block: Block) -> bool:
    """Return whether the paragraph before a block says that it is of a file."""
    return bool(_WHOLE.search(block.before) or _EXCERPT.search(block.before))


def _whole(block: Block, folder: str, name: str) -> Iterator[str]:
    files = _files(folder, name)
    if not files:
        yield f"there is no file {folder}{name} to be quoted"
    elif block.text not in {file.read_text(encoding="utf-8") for file in files}:
        yield f"is not {files[0].relative_to(ROOT)}, whole: copy it again"


def _excerpt(block: Block, name: str) -> Iterator[str]:
    """Each part between lines that stand for more has to stand in the file."""
    files = _files("", name)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    if not files:
        yield f"there is no file {name} to be quoted"
    for part in re.split(r"^\s*(?:#\s*)?\.\.\.\s*$\n?", block.text, flags=re.MULTILINE):
        if part.strip() and part.strip("\n") not in text:
            yield f"is not in {name}: {part.strip().splitlines()[0]} ..."


def _files(folder: str, name: str) -> list[Path]:
    """Return the files of this name: in the folder, from the root, or one of the examples."""
    found = [ROOT / folder / name, *(ROOT / "examples").rglob(name)]
    return [path for path in found if path.is_file()]
