"""Each container killed in turn: it comes back, and nothing else takes harm."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stack.asking import eventually, query, value
from stack.compose import Container, Stack

pytestmark = pytest.mark.stack

_TOTAL = "sum(prefect_flow_runs_finished_total)"

# In the lean form: one whose state is a file, the database, the queue, the proxy, the worker.
_LEAN = ("exporter", "postgres", "redis", "prefect-proxy", "prefect-worker")


def test_each_container_comes_back(whole: Stack, *, full: bool) -> None:
    """A killed container is healthy again, no other one restarts, and the demo goes on."""
    names = [one.name for one in whole.containers() if full or one.service in _LEAN]
    running = [name for name in names if _named(whole, name).inspected["State"]["Running"]]
    before = _counted(whole)

    for name in running:
        _kill(whole, name)

    assert {} == _fallen(before, _counted(whole))
    total = value(whole, _TOTAL) or 0
    eventually(lambda: (value(whole, _TOTAL) or 0) > total, what="the demo's next run", within=180)
    assert [] == query(whole, "resets(prefect_flow_runs_finished_total[1h]) > 0")


def _kill(stack: Stack, name: str) -> None:
    image = stack.container("init").inspected["Config"]["Image"]
    others = {one.name: one.begun for one in stack.containers() if one.name != name}
    begun = _named(stack, name).begun
    _named(stack, name).crash(image)
    eventually(
        lambda: _named(stack, name).begun != begun and all(it.well for it in stack.containers()),
        what=f"all are well after {name} was killed",
        within=150,
    )
    assert others == {one.name: one.begun for one in stack.containers() if one.name != name}


def _named(stack: Stack, name: str) -> Container:
    (found,) = [one for one in stack.containers() if one.name == name]
    return found


def _counted(stack: Stack) -> Mapping[str, float]:
    samples = query(stack, "prefect_flow_runs_finished_total")
    return {str(sorted(sample.labels.items())): sample.value for sample in samples}


def _fallen(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    return {labels: now for labels, now in after.items() if now < before.get(labels, 0)}
