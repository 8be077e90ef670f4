"""Whatever raises in telemetry, a flow does not notice: twins of it run with and without."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from demo.api import ask
from demo.processes import wait_until
from hostile_telemetry import OBSERVER, PROVIDER
from hostile_tracing import ELSEWHERE
from traced_scene import Scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

PASSING = ("observer.changed!KeyboardInterrupt", "observer.started!SystemExit")
"""What is no error, and means the process: a signal may come in the midst of a hook."""

TASK_RUNS = 12
"""Of the flows of a play, where nothing ends them before."""

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Play:
    """What flows showed in one play.

    Args:
        results: what each flow returned or raised, with its traceback.
        said: what Prefect and the flows logged.
        ours: what telemetry logged.
        hits: how often telemetry raised.
        left: the context was left as it had been found.
        rows: the runs and their log lines, as the server has them.
    """

    results: Mapping[str, str]
    said: Sequence[str]
    ours: Sequence[str]
    hits: int
    left: bool
    rows: Counter[Row]


@pytest.fixture(name="plays", scope="module")
def _plays(scene: Scene) -> Mapping[str, Play]:
    return _perform(scene, "hostile", "off", *OBSERVER, *PROVIDER, *PASSING)


@pytest.fixture(name="values", scope="module")
def _values(scene: Scene) -> Mapping[str, Play]:
    return {
        **_perform(scene, "values-off", "values-off"),
        **_perform(scene, "values", "values"),
    }


def _perform(scene: Scene, name: str, *plays: str) -> Mapping[str, Play]:
    """Run the plays in one process, and return what they and the server show."""
    env = scene.environment(name, "setup", "http") | {"PREFECT_LOGGING_LEVEL": "INFO"}
    out = scene.sandbox.subfolder(name) / "plays.json"
    process = scene.start(name, [sys.executable, "-m", "hostile_tracing", str(out), *plays], env)
    wait_until(lambda: not process.running, within=300, what=f"the end of {name}")
    assert process.wait() == 0, process.log_tail()

    with scene.server.client() as api:
        return {each["name"]: _play(each, api) for each in json.loads(out.read_text())}


def _play(told: Mapping[str, Any], api: httpx.Client) -> Play:
    tag = f"play:{told['name']}"
    flow_runs = ask(api, "/flow_runs/filter", flow_runs={"tags": {"all_": [tag]}})
    rows: Counter[Row] = Counter(map(_state, flow_runs))
    if not told["name"].startswith("values"):  # Prefect loses what of theirs is not Unicode
        least = 0 if told["name"] in PASSING else TASK_RUNS
        rows.update(map(_state, _settled_task_runs(api, tag, least)))
        rows.update(_log(api, flow_runs))
    return Play(told["results"], told["said"], told["ours"], told["hits"], told["left"], rows)


def _log(api: httpx.Client, flow_runs: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    ids = {"any_": [run["id"] for run in flow_runs]}
    for line in ask(api, "/logs/filter", logs={"flow_run_id": ids}):
        yield line["name"], line["level"], ELSEWHERE.sub("?", line["message"])


def _state(run: Mapping[str, Any]) -> Row:
    return run["name"], run["state_type"], run["state_name"], run["run_count"]


def _settled_task_runs(api: httpx.Client, tag: str, least: int) -> list[dict[str, Any]]:
    """Return the task runs once all have ended: they come to the server as events, one by one."""
    chosen = {"task_runs": {"tags": {"all_": [tag]}}}
    final = {"COMPLETED", "FAILED", "CRASHED"}
    found: list[dict[str, Any]] = []

    def settled() -> bool:
        found[:] = ask(api, "/task_runs/filter", **chosen)
        return len(found) >= least and {run["state_type"] for run in found} <= final

    wait_until(settled, within=60, what=f"final states of {tag}")
    return found


@pytest.mark.parametrize("part", [*OBSERVER, *PROVIDER])
def test_flows_do_not_notice(part: str, plays: Mapping[str, Play]) -> None:
    """Results, errors, tracebacks, logs and states are those of the same flows without us."""
    play, off = plays[part], plays["off"]

    assert play.hits > 0
    assert off.results == play.results
    assert off.said == play.said
    assert off.rows == play.rows
    assert play.left


def test_trouble_is_told_once(plays: Mapping[str, Play]) -> None:
    """A process tells of its first trouble, in one line, and of no other."""
    (line,) = [line for play in plays.values() for line in play.ours]

    assert line.startswith("prefect_instrumentation WARNING Telemetry is incomplete: ")
    assert "\n" not in line


@pytest.mark.parametrize("name", PASSING)
def test_end_of_the_process_passes(name: str, plays: Mapping[str, Play]) -> None:
    """An interrupt or exit that comes in the midst of a hook is not swallowed."""
    play = plays[name]
    _, _, error = name.partition("!")

    assert play.hits > 0
    assert {error} == {result.split()[0] for result in play.results.values()}
    assert play.left


def test_hostile_values_change_nothing(values: Mapping[str, Play]) -> None:
    """Errors and parameters that cannot be written down are as they are without telemetry."""
    play, off = values["values"], values["values-off"]

    assert off.results == play.results
    assert off.said == play.said
    assert off.rows == play.rows
    assert play.left


def test_hostile_values_lose_no_span(scene: Scene, values: Mapping[str, Play]) -> None:
    """The spans of such runs arrive all the same, bounded, and nothing is said of them."""
    spans = [span for span in scene.spans_by("values") if span.scope == "prefect_instrumentation"]
    texts = [
        text
        for span in spans
        for each in (span.attributes, *(event for _, event in span.events))
        for text in each.values()
        if isinstance(text, str)
    ]

    assert [] == values["values"].ours
    assert {"flow errors": 1, "flow parameters": 1, "flow silent": 1} | {
        f"task {name}": count
        for name, count in (("surrogate", 1), ("endless", 1), ("wordless", 2), ("takes", 4))
    } == Counter(span.name for span in spans)
    assert max(map(len, texts)) <= 16_384
