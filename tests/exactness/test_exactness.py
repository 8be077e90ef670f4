"""What Prometheus counts is what the server's own database holds, whatever befalls the parts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from demo.sandbox import Sandbox
from exactness.api_load import POOLED
from exactness.misfortunes import live_through
from exactness.result import Result, read_result
from exactness.scene import Load, set_scene, settle
from exactness.verdict import durations, finished

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

_REPORT = "EXACTNESS_REPORT_FOLDER"
"""The environment variable that says where each summary is kept as JSON."""

_SHOWN = ("befallen", "happened", "without_event", "event_only_completions", "audit_corrections")

_BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(name="results", scope="module")
def _results() -> Mapping[str, Result]:
    """Live through it on all backends at the same time: most of that time is waiting."""
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(Sandbox()) for _ in _BACKENDS]
        scenes = list(map(set_scene, sandboxes, _BACKENDS))
        loads = [Load(scene) for scene in scenes]
        befallen = live_through(scenes, loads)
        for load in loads:
            load.finish()
        settle(scenes)
        return {scene.backend: read_result(scene, befallen) for scene in scenes}


@pytest.mark.parametrize("backend", _BACKENDS)
def test_counts_equal_the_servers_own(
    results: Mapping[str, Result], backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each end is counted once, under its labels, through crashes of either side and an outage."""
    result = results[backend]
    with capsys.disabled():
        _show(result)
    flow_runs, task_runs = result.flow_runs, result.task_runs

    # The truth is one: rows, their history and their events agree, and everything happened.
    assert not result.truth.phantoms
    assert not result.truth.strays
    assert all(result.happened().values())
    # Each end of the truth has its key, and no key is without an end.
    assert flow_runs.matched.nobodys == flow_runs.matched.missing
    assert not task_runs.matched.missing
    assert not [*flow_runs.matched.extra, *task_runs.matched.extra]
    # Prometheus has seen each of them.
    assert not finished(flow_runs.ends).disagreements(flow_runs.counted)
    assert not finished(task_runs.ends).disagreements(task_runs.counted)
    assert not durations(flow_runs.ends, labels=2).disagreements(flow_runs.observed)
    assert not durations(task_runs.ends, labels=2).disagreements(task_runs.observed)
    pooled = [end for end in flow_runs.ends if end.labels[:2] == (POOLED, "nightly")]
    assert len(pooled) == result.pool_runs
    # Nothing ever fell; `increase()` sees all of it from zero on, and one scrape more at most.
    assert result.resets
    assert not [sample for sample in result.resets if sample.value]
    assert {0.0} == {series.first for series in result.series}
    assert not [
        series
        for series in result.series
        if not series.counted <= round(series.increase, 6) <= round(series.most, 6)
    ]


def _show(result: Result) -> None:
    document = result.document()
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(result.table())
    for key in _SHOWN:
        console.print(f"{key}: {document[key]}", markup=False)
    for kind in (result.flow_runs, result.task_runs):
        for end in kind.matched.missing:
            console.print(f"not counted: {end}", markup=False)
        for run, at_us in kind.matched.extra:
            console.print(f"counted, but no end: {run} at {at_us} us", markup=False)
    if folder := os.environ.get(_REPORT):
        Path(folder, f"{result.backend}.json").write_text(json.dumps(document, indent=2))
