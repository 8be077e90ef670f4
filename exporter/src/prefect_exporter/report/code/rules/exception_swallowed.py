"""An exception is caught and not raised again, in a function that is to be tried again."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from prefect_exporter.report.code.evidence import Place, Rule, at, subject_of
from prefect_exporter.report.code.sources import Project, Runnable, Source
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-exception-swallowed",
    severity=Severity.HIGH,
    title="{subject} swallows the exceptions that its retries wait for",
    detail="Prefect tries a function again when it raises. Here every exception is caught and "
    "none is raised again, so it is never tried again, and a failure shows as a success.",
    effort=Effort.MINUTES,
    risk="what failed in silence fails in sight, and is tried again",
)
_BROAD = ("Exception", "BaseException")
_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "print"})


def exception_swallowed(project: Project) -> Iterable[Finding]:
    """Tell of functions with retries whose work stands in a try that lets nothing out."""
    return RULE.findings(
        (subject_of(source, each), place)
        for source in project.sources
        for each in source.runnables.values()
        if (each.number("retries") or 0) > 0
        for place in _places(source, each)
    )


def _places(source: Source, runnable: Runnable) -> Iterator[Place]:
    """Yield handlers of a try that holds most of what the function does, outside of any loop."""
    for statement in runnable.node.body:
        if isinstance(statement, ast.Try) and _is_the_work(statement, runnable):
            for handler in statement.handlers:
                if _is_broad(handler) and all(map(_is_silent, handler.body)):
                    retries = runnable.number("retries") or 0
                    text = (
                        f"{runnable.node.name} has retries={retries:g}, and this handler lets no "
                        "exception reach Prefect"
                    )
                    yield at(source, handler, text, "raise  # as the last line of the handler")


def _is_the_work(statement: ast.Try, runnable: Runnable) -> bool:
    inside = _calls(statement.body)
    return bool(inside) and 2 * inside > _calls(runnable.node.body) - _calls(statement.handlers)


def _calls(nodes: Iterable[ast.AST]) -> int:
    """Return how many calls there are that do more than write a log line."""
    walked = (node for each in nodes for node in ast.walk(each))
    return sum(isinstance(node, ast.Call) and not _is_log(node) for node in walked)


def _is_log(call: ast.Call) -> bool:
    name = call.func
    if isinstance(name, ast.Name):
        return name.id in _LOGS or "logger" in name.id
    return isinstance(name, ast.Attribute) and name.attr in _LOGS


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in _BROAD for name in each)


def _is_silent(statement: ast.stmt) -> bool:
    """Return whether a statement of a handler cannot make the function fail."""
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        value = statement.value
        return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and _is_log(value))
    # What is returned may be a state that says Failed.
    return isinstance(statement, ast.Return) and not (
        statement.value and any(isinstance(node, ast.Call) for node in ast.walk(statement.value))
    )
