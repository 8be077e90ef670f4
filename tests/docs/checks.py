"""What a checker of code blocks is: it gets all blocks of a kind, and says what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from docs.blocks import ROOT, Block

Problems = Mapping[Block, Sequence[str]]
"""A line for each problem, by block; a block that is not in it has none."""

Checker = Callable[[Sequence[Block], Path], Problems]
"""Checks all blocks of a kind in one go; the folder is empty and its own."""


def one_by_one(check: Callable[[Block], Iterable[str]]) -> Checker:
    """Return a checker that asks *check* of each block; what it raises is a problem too."""
    return lambda blocks, _folder: {each: _asked(check, each) for each in blocks}


def by_test(test: str) -> Checker:
    """Return a checker for blocks that a test of the repository checks: ``path::function``."""
    return lambda blocks, _folder: dict.fromkeys(blocks, _without_test(test))


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program, with both outputs in ``stdout``, and none of the caller's own Prefect."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "OTEL_"))
    }
    # Programs of this virtual environment are found although nobody has activated it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**clean, "PATH": path, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Nothing that is asked takes minutes: what does was started by mistake.
        timeout=300,
        check=False,
    )


def _asked(check: Callable[[Block], Iterable[str]], block: Block) -> list[str]:
    try:
        return list(check(block))
    except Exception as error:  # noqa: BLE001 - whatever a parser raises of a broken block
        return [f"{type(error).__name__}: {error}"]


def _without_test(test: str) -> list[str]:
    path, _, name = test.partition("::")
    file = ROOT / path
    there = file.is_file() and re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE)
    return [] if there else [f"{test}, which is to check it, is not there"]
