"""A table is read by one task and handed to another."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from prefect_exporter.report.code.evidence import Place, Rule, at
from prefect_exporter.report.code.sources import Project, Runnable, Source, calls_in, own_nodes
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-large-data-passed",
    severity=Severity.LOW,
    title="{subject} hands whole tables from task to task",
    detail="A guess by the name of what reads it: how large it is only the run knows. What a task "
    "returns stays in memory until the flow ends, is copied to other processes by Dask and Ray, "
    "and is stored whole where results are persisted. A path costs nothing.",
    effort=Effort.HOURS,
    risk="the tasks need storage that both reach",
)
_READERS = {
    "pandas": "read_",
    "polars": "read_",
    "dask.dataframe": "read_",
    "pyarrow.parquet": "read_",
    "geopandas": "read_",
}


def large_data_passed(project: Project) -> Iterable[Finding]:
    """Tell of flows that pass the result of a task that reads a table to another task."""
    return RULE.findings(
        (flow.name, place)
        for source in project.sources
        for flow in source.of_kind("flow")
        for place in _places(source, flow)
    )


def _places(source: Source, flow: Runnable) -> Iterator[Place]:
    readers = {
        task.node.name: reader
        for task in source.of_kind("task")
        if (reader := _table_returned(source, task))
    }
    tables = _assigned(source, flow, readers)
    for call in calls_in(flow.node):
        if (found := source.task_called(call)) is None:
            continue
        for value in (*call.args, *(each.value for each in call.keywords)):
            reader = _reader_of(source, value, tables, readers)
            if reader:
                text = (
                    f"{reader} returns what {readers[reader]} read, and {found[0].node.name} "
                    "takes it"
                )
                change = f"{reader} writes a file and returns its path; {found[0].node.name} reads"
                yield at(source, call, text, change)
                break


def _assigned(source: Source, flow: Runnable, readers: dict[str, str]) -> dict[str, str]:
    """Return which names of a flow hold what which reading task gave; each must be bound once."""
    found: dict[str, str] = {}
    bound: list[str] = []
    for node in own_nodes(flow.node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.append(node.id)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            reader = _reader_of(source, value, {}, readers)
            if reader:
                found[node.targets[0].id] = reader
    return {name: reader for name, reader in found.items() if bound.count(name) == 1}


def _reader_of(
    source: Source, value: ast.expr, tables: dict[str, str], readers: dict[str, str]
) -> str | None:
    """Return the reading task whose result an expression is."""
    if isinstance(value, ast.Name):
        return tables.get(value.id)
    if isinstance(value, ast.Call):
        called = source.task_called(value)
        if called and called[0].node.name in readers and called[1] in ("", "submit"):
            return called[0].node.name
    return None


def _table_returned(source: Source, task: Runnable) -> str | None:
    """Return by what a task reads the table that it returns; None where it returns none."""
    read: dict[str, str] = {}
    bound: list[str] = []
    for node in own_nodes(task.node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.append(node.id)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if reader := _reads(source, node.value):
                read[node.targets[0].id] = reader
        elif isinstance(node, ast.Return) and node.value is not None:
            if reader := _reads(source, node.value):
                return reader
            if isinstance(node.value, ast.Name) and bound.count(node.value.id) == 1:
                return read.get(node.value.id)
    return None


def _reads(source: Source, value: ast.expr) -> str | None:
    name = source.called(value) if isinstance(value, ast.Call) else ""
    package, _, function = name.rpartition(".")
    prefix = _READERS.get(package)
    return name if prefix and function.startswith(prefix) else None
