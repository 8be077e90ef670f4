"""Read sources and judge them: files in, findings out; no line of them is ever run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prefect_exporter.report.code.files import MOST_BYTES, find, size
from prefect_exporter.report.code.rules import RULES
from prefect_exporter.report.code.sources import Project, Source, read_source
from prefect_exporter.report.model import Finding
from prefect_exporter.report.parts import tried
from prefect_exporter.report.words import count

Rule = Callable[[Project], Iterable[Finding]]

# Where somebody may have written how flows are built and run.
_TEXTS = (
    "Dockerfile*",
    "docker-compose*.y*ml",
    "pyproject.toml",
    "requirements*.txt",
    "prefect.yaml",
)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found; *notes* say what was not read, one sentence each."""

    findings: Sequence[Finding]
    notes: Sequence[str] = ()


def findings(paths: Sequence[Path]) -> Sequence[Finding]:
    """Return what is to be mended in the sources at *paths*."""
    return examine(paths).findings


def examine(paths: Sequence[Path], rules: Sequence[Rule] = RULES) -> Examined:
    """Return the same, with what could not be read and which rules failed.

    Args:
        paths: Files and folders; each is a project of its own.
        rules: What judges them.
    """
    found: list[Finding] = []
    notes: list[str] = []
    for path in paths:
        project, left_out = _project(path)
        notes += left_out
        for rule in rules:
            found += tried(rule.__name__, partial(_judge, rule, project), notes) or ()
    return Examined(found, notes)


def _judge(rule: Rule, project: Project) -> list[Finding]:
    return list(rule(project))


def _project(path: Path) -> tuple[Project, Sequence[str]]:
    found = find(path)
    notes = list(found.notes)
    sources: list[Source] = []
    unread: list[str] = []
    for file in found.files:
        # As the path was given, so that an editor started there finds it.
        place = str(file)
        try:
            text = file.read_text("utf-8-sig")
            # Without this word there is no flow in it, nor anything about one.
            source = read_source(place, text) if "prefect" in text else None
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            unread.append(place)
            continue
        if source and (source.runnables or source.uses("prefect_instrumentation")):
            sources.append(source)
    if unread:
        more = f" and {count(len(unread) - 1, 'more file')}" if len(unread) > 1 else ""
        notes.append(f"{unread[0]}{more} could not be read as Python.")
    folder = path.parent if path.is_file() else path
    return Project(path, sources, tuple(_texts(folder))), notes


def _texts(root: Path) -> Iterator[str]:
    for pattern in _TEXTS:
        for path in sorted(root.glob(pattern)):
            if size(path) <= MOST_BYTES:
                with suppress(OSError):
                    yield path.read_text("utf-8", errors="replace")
