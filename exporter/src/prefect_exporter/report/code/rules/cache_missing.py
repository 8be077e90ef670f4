"""The same task is called with the same literal arguments again and again in one run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from prefect_exporter.report.code.evidence import Place, Rule, at, written
from prefect_exporter.report.code.network import waits
from prefect_exporter.report.code.sources import Project, Runnable, Source, calls_in, own_nodes
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-cache-missing",
    severity=Severity.LOW,
    title="{subject} asks for the same thing again in every turn of a loop",
    detail="A task that asks another machine is called in a loop with arguments that never "
    "change. Called once before the loop, or with a cache, it would ask once.",
    effort=Effort.MINUTES,
    risk="what changes over there between two turns is not seen",
)
_BY_CACHE = ("cache_policy", "cache_key_fn", "refresh_cache")


def cache_missing(project: Project) -> Iterable[Finding]:
    """Tell of tasks that ask, whose result is used, and whose arguments are all literals."""
    return RULE.findings(
        (flow.name, place)
        for source in project.sources
        for flow in source.of_kind("flow")
        for place in _places(source, flow)
    )


def _places(source: Source, flow: Runnable) -> Iterator[Place]:
    for loop in own_nodes(flow.node):
        if not isinstance(loop, ast.For):
            continue
        # A value that is thrown away was not what the call was for.
        for node in ast.walk(loop):
            call = _kept(node)
            found = source.task_called(call) if call else None
            if call is None or found is None or not _is_constant(call):
                continue
            task = found[0]
            if not task.sets(*_BY_CACHE) and _reads(source, task):
                text = f"{written(call)} asks for the same in every turn"
                name = task.node.name
                change = f"{name}_once = {written(call)}  # before the loop"
                yield at(source, call, text, change)


def _kept(node: ast.AST) -> ast.Call | None:
    if not isinstance(node, ast.Assign):
        return None
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    return value if isinstance(value, ast.Call) else None


def _is_constant(call: ast.Call) -> bool:
    values = [*call.args, *(each.value for each in call.keywords)]
    return bool(values) and all(isinstance(each, ast.Constant) for each in values)


def _reads(source: Source, task: Runnable) -> bool:
    """Return whether a task only asks: by the verb of what it calls."""
    asked = [source.called(call) for call in calls_in(task.node) if waits(source, call)]
    return bool(asked) and all(name.rpartition(".")[2] in ("get", "urlopen") for name in asked)
