"""A source file as rules see it: which functions are flows and tasks, and what names stand for.

Names are followed through the file's imports alone. A name that is bound anew elsewhere may
mislead, so rules ask for more than a name before they tell of anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_KINDS = {
    "prefect.flow": "flow",
    "prefect.flows.flow": "flow",
    "prefect.task": "task",
    "prefect.tasks.task": "task",
}


@dataclass(frozen=True, slots=True)
class Runnable:
    """A flow or a task.

    Args:
        kind: ``flow`` or ``task``.
        name: As Prefect calls it.
        options: What its decorator, and every ``with_options`` of the file, is given.
        opaque: Whether options may be given that cannot be seen, as by ``**defaults``.
    """

    kind: str
    name: str
    node: Function
    options: Mapping[str, ast.expr] = field(default_factory=dict)
    opaque: bool = False

    def sets(self, *options: str) -> bool:
        """Return whether one of *options* is set, or may be."""
        return self.opaque or any(not _is_none(self.options.get(each)) for each in options)

    def number(self, option: str) -> float | None:
        """Return an option that is a plain number; None for any other."""
        value = self.options.get(option)
        number = value.value if isinstance(value, ast.Constant) else None
        try:
            return float(number) if isinstance(number, int | float) else None
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Args:
        place: Its path below the root, for people.
        imports: What names stand for: ``{"pd": "pandas", "flow": "prefect.flow"}``.
        runnables: Its flows and tasks by the name of the function.
    """

    place: str
    tree: ast.Module
    imports: Mapping[str, str]
    runnables: Mapping[str, Runnable]

    def dotted(self, node: ast.expr) -> str:
        """Return what an expression stands for, such as ``pandas.read_csv``; "" if unknown."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imports:
            return ""
        return ".".join([self.imports[node.id], *reversed(parts)])

    def called(self, call: ast.Call) -> str:
        """Return what is called."""
        return self.dotted(call.func)

    def uses(self, *packages: str) -> bool:
        """Return whether something of a package is imported."""
        return any(
            each == package or each.startswith(f"{package}.")
            for each in self.imports.values()
            for package in packages
        )

    def of_kind(self, kind: str) -> Iterator[Runnable]:
        """Return its flows, or its tasks."""
        return (each for each in self.runnables.values() if each.kind == kind)

    def task_called(self, call: ast.Call) -> tuple[Runnable, str] | None:
        """Return the task of this file that is called, and by which method; "" for a plain call."""
        target, method = call.func, ""
        match target:
            case ast.Attribute(value=value, attr="submit" | "map" | "delay" as method):
                target = value
        if isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute):
            # What is called is what with_options gave.
            target = target.func.value if target.func.attr == "with_options" else target
        found = self.runnables.get(target.id) if isinstance(target, ast.Name) else None
        return (found, method) if found and found.kind == "task" else None


@dataclass(frozen=True, slots=True)
class Project:
    """The sources of one path; *texts* are those of its files that say how it is built and run."""

    root: Path
    sources: Sequence[Source]
    texts: Sequence[str] = ()


def read_source(place: str, text: str) -> Source:
    """Return a file as rules see it.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: It is no Python of this version.
    """
    tree = ast.parse(text)
    imports = dict(_imports(tree))
    source = Source(place, tree, imports, {})
    runnables = {each.node.name: each for each in _runnables(source)}
    return Source(place, tree, imports, _with_options(tree, runnables))


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes of a function's own body, in order, without those of functions in it."""
    inner = [node]
    while inner:
        at = inner.pop()
        if at is not node:
            yield at
            if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                continue
        children = list(ast.iter_child_nodes(at))
        if at is node and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            children = list(node.body)
        inner.extend(reversed(children))


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """Return the calls of a function's own body, in order."""
    return (each for each in own_nodes(node) if isinstance(each, ast.Call))


def keywords(call: ast.Call) -> Mapping[str, ast.expr]:
    """Return the keyword arguments of a call; ``**`` of them stands under ""."""
    return {each.arg or "": each.value for each in call.keywords}


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _runnables(source: Source) -> Iterator[Runnable]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                kind = _KINDS.get(source.dotted(call.func if call else decorator))
                if kind is not None:
                    options = dict(keywords(call)) if call else {}
                    opaque = options.pop("", None) is not None
                    name = _text(options.get("name")) or node.name.replace("_", "-")
                    yield Runnable(kind, name, node, options, opaque)


def _with_options(tree: ast.Module, runnables: dict[str, Runnable]) -> dict[str, Runnable]:
    """Give functions what any ``with_options`` of the file sets: it may be meant for every run."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        target = node.func.value
        if node.func.attr != "with_options" or not isinstance(target, ast.Name):
            continue
        if (known := runnables.get(target.id)) is not None:
            given = dict(keywords(node))
            opaque = known.opaque or given.pop("", None) is not None
            options = {**given, **known.options}
            runnables[target.id] = Runnable(known.kind, known.name, known.node, options, opaque)
    return runnables


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)
