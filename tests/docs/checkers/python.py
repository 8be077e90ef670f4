"""Python: quotes stand in their files, all else passes mypy as our own code does, and is run.

Names that a block uses and nobody gives it come from `docs.yours`. A block is run as a module that
is imported, so that a flow which it defines is defined, and not served. One that calls a flow of
the examples is not run: tests of that example do.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from docs import yours
from docs.blocks import ROOT, Block
from docs.checkers.quotes import is_quote, quoted
from docs.checks import Problems, run

# Where `from orders import orders` of a page finds the example that the page shows.
_EXAMPLES = ("examples", "examples/tracing", "tests")
_STANDARD = {*dir(builtins), "__name__", "__file__"}
_SILENT = {f"OTEL_{each}_EXPORTER": "none" for each in ("TRACES", "METRICS", "LOGS")}


def check(blocks: Sequence[Block], folder: Path) -> Problems:
    """Say what is wrong; one run of mypy, and one of Python."""
    found = {block: list(quoted(block) or ()) for block in blocks}
    modules = {}
    for block in [each for each in blocks if not is_quote(each)]:
        try:
            modules[_file(block, folder)] = (block, *_completed(block))
        except (SyntaxError, NameError) as error:
            found[block].append(str(error))
    for file, (_, text, _) in modules.items():
        file.write_text(text, encoding="utf-8")
    files = list(modules)
    for file, line, problem in [*_typed(files, folder), *_run(files, folder)] if files else ():
        block, _, added = modules[file]
        where = f"line {block.line + line - added}: " if line else ""
        found[block].append(f"{where}{problem}")
    return found


def _file(block: Block, folder: Path) -> Path:
    return folder / f"{re.sub(r'[^a-z0-9]', '_', block.page.lower())}_{block.line}.py"


def _completed(block: Block) -> tuple[str, int]:
    """Return a module that has all names, and how many lines were put before the block's own.

    Raises:
        NameError: There is no such name in `docs.yours` either.
        SyntaxError: It is no Python.
    """
    tree = ast.parse(block.text)
    missing = sorted(_missing(tree))
    unknown = [name for name in missing if not hasattr(yours, name)]
    if unknown:
        raise NameError(f"nothing gives it the names {unknown}: import them, or see docs/yours.py")
    if not missing:
        return block.text, 0
    return f"from docs.yours import {', '.join(missing)}\n{block.text}", 1


def _missing(tree: ast.Module) -> set[str]:
    """Return the names that are read anywhere and bound nowhere."""
    read: set[str] = set()
    bound = set(_STANDARD)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound |= {name, *(each.arg for each in ast.walk(node) if isinstance(each, ast.arg))}
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Lambda():
                bound |= {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
    return read - bound


def _starts_runs(text: str) -> bool:
    calls = any(
        isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)
        for each in ast.parse(text).body
    )
    return calls and bool(re.search(r"^from (?:etl|trigger)\b", text, re.MULTILINE))


def _typed(files: list[Path], folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Run mypy as `make type` does, with its cache, and yield what it finds."""
    path = f"{folder}:{ROOT / 'examples' / 'tracing'}"
    done = run(sys.executable, "-m", "mypy", "--no-error-summary", *files, env={"MYPYPATH": path})
    found = re.findall(r"^(\S+\.py):(\d+): error: (.*)", done.stdout, re.MULTILINE)
    assert bool(found) == bool(done.returncode), done.stdout
    for name, line, problem in found:
        # What its cache remembers is of the folder of an earlier run.
        yield folder / Path(name).name, int(line), problem


def _run(files: list[Path], folder: Path) -> Iterator[tuple[Path, int, str]]:
    files = [file for file in files if not _starts_runs(file.read_text())]
    if not files:
        return
    path = ":".join(str(ROOT / each) for each in _EXAMPLES)
    own = {"PYTHONPATH": path, "PREFECT_HOME": str(folder / "home"), "DO_NOT_TRACK": "1"}
    # Whoever starts a run all the same is told so at once, and starts no server.
    own["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"
    done = run(sys.executable, "-m", "docs.importing", *files, env=own | _SILENT)
    told = json.loads(done.stdout.splitlines()[-1])
    for name, problem in told.items():
        if problem:
            yield Path(name), 0, problem
