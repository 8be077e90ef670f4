"""A task is called for one item after the other, and no call needs the one before."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prefect_exporter.report.code.evidence import Place, Rule, at
from prefect_exporter.report.code.sources import Project, Runnable, Source, own_nodes
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-parallelism-missing",
    severity=Severity.LOW,
    title="{subject} calls a task for one item after the other",
    detail="Each call waits for the one before, of which it takes nothing. Submitted, they run at "
    "once, as many as the task runner has threads.",
    effort=Effort.MINUTES,
    risk="the order of the items is lost, and what they ask gets all at once: a tag's limit bounds "
    "it",
)


class _Turn(NamedTuple):
    """All that a loop does with its item: one call, whose result *kept* may keep."""

    item: ast.expr
    value: ast.expr
    kept: ast.expr | None = None

    @property
    def call(self) -> ast.Call | None:
        value = self.value.value if isinstance(self.value, ast.Await) else self.value
        return value if isinstance(value, ast.Call) else None


def parallelism_missing(project: Project) -> Iterable[Finding]:
    """Tell of loops that do nothing but call one task with their item."""
    return RULE.findings(
        (flow.name, place)
        for source in project.sources
        for flow in source.of_kind("flow")
        for place in _places(source, flow)
    )


def _places(source: Source, flow: Runnable) -> Iterator[Place]:
    for node in own_nodes(flow.node):
        turn = _turn(node)
        call = turn.call if turn else None
        found = source.task_called(call) if call else None
        if turn is None or call is None or found is None or found[1]:
            continue
        task = found[0]
        # A coroutine that is not awaited here may be gathered with the others later.
        waited = isinstance(turn.value, ast.Await) or isinstance(task.node, ast.FunctionDef)
        if waited and _is_independent(turn, call):
            name = task.node.name
            text = f"the loop calls {name} and waits for it, item by item"
            change = f"[{name}.submit(...) for ...], then prefect.futures.wait(...) or .result()"
            yield at(source, call, text, change)


def _turn(node: ast.AST) -> _Turn | None:
    if isinstance(node, ast.ListComp) and len(node.generators) == 1:
        only = node.generators[0]
        return None if only.ifs or only.is_async else _Turn(only.target, node.elt)
    if not isinstance(node, ast.For) or len(node.body) != 1 or node.orelse:
        return None
    statement = node.body[0]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
        return _Turn(node.target, statement.value, statement.targets[0].value)
    if not isinstance(statement, ast.Expr):
        return None
    match statement.value:
        case ast.Call(func=ast.Attribute(value=kept, attr="append"), args=[value]):
            return _Turn(node.target, value, kept)
    return _Turn(node.target, statement.value)


def _is_independent(turn: _Turn, call: ast.Call) -> bool:
    """Return whether a call takes the item, and nothing that calls before have given."""
    kept = _names(turn.kept) if turn.kept else set()
    taken = {
        name
        for value in (*call.args, *(each.value for each in call.keywords))
        for name in _names(value)
    }
    return bool(_names(turn.item) & taken) and not kept & taken


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
