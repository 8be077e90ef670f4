"""What a worker and the runs that it starts write, to standard output and to one file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import logged_scene
from demo.api import ask
from demo.processes import wait_until
from logged_flows import WAYS
from logged_scene import Line, Logged, api_messages, events, of_span, span_of
from traced_scene import TESTS, Scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

PLACES = ("deployed", "deployed-task")


@dataclass(frozen=True, slots=True)
class Worked:
    """A worker of a process pool that has run two deployments.

    Args:
        runs: their flow runs' ids, by the flows' names.
        file: that worker and runs have written too.
    """

    scene: Scene
    api: httpx.Client
    worker: Logged
    runs: Mapping[str, str]
    file: Path

    def lines_of(self, flow: str) -> list[Line]:
        """Return the lines of a flow's run, whoever wrote them."""
        run_id = self.runs[flow]
        return [line for line in self.worker.lines() if line.get("flow_run_id") == run_id]


@pytest.fixture(name="worked", scope="module")
def _worked(scene: Scene) -> Iterator[Worked]:
    with scene.server.client() as api:
        file = scene.sandbox.subfolder("worker") / "lines" / "prefect.log"
        worker = _start_worker(scene, api, file)
        child = _deploy(api, "child", parameters={"place": "deployed"})
        failing = _deploy(api, "failing")
        runs = {
            "child": _run(api, child, labels={"__CORRELATION_ID": "ord-42"}),
            "failing": _run(api, failing),
        }
        for run_id in runs.values():
            _wait_for_end(api, run_id)
        _wait_for_words(worker, list(runs.values()))
        _wait_for_spans(scene, set(runs.values()))
        yield Worked(scene, api, worker, runs, file)
        worker.process.stop()


def _start_worker(scene: Scene, api: httpx.Client, file: Path) -> Logged:
    env = scene.environment("worker", "plugin", "http") | {
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_INSTRUMENTATION_LOG_FILE": str(file),
    }
    argv = [sys.executable, "-m", "prefect", "worker", "start"]
    return logged_scene.start(
        scene,
        "worker",
        [*argv, "--pool", "pool", "--type", "process"],
        env,
        lambda: bool(ask(api, "/work_pools/pool/workers/filter")),
    )


def _deploy(api: httpx.Client, flow: str, **more: object) -> str:
    body = {
        "name": "logged",
        "flow_id": ask(api, "/flows/", name=flow)["id"],
        "work_pool_name": "pool",
        "path": str(TESTS),
        "entrypoint": f"logged_flows.py:{flow}",
        **more,
    }
    return str(ask(api, "/deployments/", **body)["id"])


def _run(api: httpx.Client, deployment: str, **body: object) -> str:
    return str(ask(api, f"/deployments/{deployment}/create_flow_run", **body)["id"])


def _wait_for_end(api: httpx.Client, run_id: str) -> None:
    def ended() -> bool:
        run = api.get(f"/flow_runs/{run_id}").raise_for_status().json()
        return run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")

    wait_until(ended, within=90, what=f"the end of {run_id}")


def _wait_for_words(worker: Logged, runs: list[str]) -> None:
    """Return when the runs' processes have had their last words, and the worker has them."""

    def said() -> bool:
        last = [line for line in worker.lines() if line["event"].startswith("Finished in state")]
        return set(runs) <= {line["flow_run_id"] for line in last if "task" not in line}

    wait_until(said, within=30, what="the runs' last words")


def _wait_for_spans(scene: Scene, runs: set[str]) -> None:
    """Return when the spans of the flow runs have come, which a process sends as it ends."""

    def sent() -> bool:
        spans = [span.attributes for span in scene.receiver.spans()]
        flows = [each for each in spans if each.get("prefect.run.type") == "flow"]
        return runs <= {str(each.get("prefect.flow_run.id")) for each in flows}

    wait_until(sent, within=30, what="the runs' spans")


def test_every_line_is_an_object(worked: Worked) -> None:
    """The worker's own lines and those of its runs' processes, which it passes on, are JSON."""
    loggers = {line["logger"] for line in worked.worker.lines()}

    assert {"prefect.flow_runs.worker", "prefect.flow_runs", "prefect.task_runs"} <= loggers
    assert {"shop", "shop.orders", "prefect_instrumentation.runs"} <= loggers
    stderr = worked.worker.process.log.read_text()
    assert [] == [way for way in WAYS if f" by {way}" in stderr]


def test_lines_of_a_run_come_out_of_its_worker(worked: Worked) -> None:
    """Each is there once, with deployment and pool, and the id that the run was created with."""
    said = [line for line in worked.lines_of("child") if " by " in line["event"]]

    assert Counter(f"{place} by {way}" for place in PLACES for way in WAYS) == events(said)
    for line in said:
        span = span_of(line, worked.scene.receiver.spans())
        expected = {
            **of_span(span),
            "deployment": "logged",
            "work_pool": "pool",
            "correlation_id": "ord-42",
            "attempt": 1,
        }
        assert expected == {name: line.get(name) for name in expected}


def test_worker_says_which_run_it_means(worked: Worked) -> None:
    """What the worker itself says of a run has the run's id, and no span of another."""
    own = [
        line
        for line in worked.lines_of("child")
        if line["logger"].startswith(("prefect.flow_runs.worker", "prefect.flow_runs.runner"))
    ]

    assert [] != own
    assert [] == [line for line in own if "span_id" in line]


def test_failure_is_told_with_its_deployment(worked: Worked) -> None:
    """The flow that failed has one line that says so, and so has its task."""
    told = [
        line
        for line in worked.lines_of("failing")
        if line["logger"] == "prefect_instrumentation.runs"
    ]

    assert {"failing": 1, "broken": 1} == Counter(line.get("task", line["flow"]) for line in told)
    assert {("logged", "pool")} == {(line["deployment"], line["work_pool"]) for line in told}


def test_one_file_has_the_lines_of_all_processes(worked: Worked) -> None:
    """Worker and runs write one file, and what is in it is what they write otherwise."""
    writers = Counter(line["logger"] for line in worked.worker.lines())

    def same() -> bool:
        passed_on = [line for line in worked.worker.raw() if line.startswith("{")]
        return Counter(passed_on) == Counter(worked.file.read_text().splitlines())

    wait_until(same, within=20, what="the same lines in both")
    assert writers["prefect.flow_runs.worker"] > 0 < writers["shop"]


def test_api_has_each_record_once(worked: Worked) -> None:
    """Prefect's UI shows what the run says and what its worker says, once, as text."""
    run_id = worked.runs["child"]
    expected = {f"{place} by {way}": 1 for place in PLACES for way in ("Prefect", "print")}

    def told() -> bool:
        messages = api_messages(worked.api, [run_id])
        of_worker = any("submitting flow run" in text for text in messages)
        return of_worker and set(expected) <= set(messages)

    wait_until(told, within=60, what="the records of the run and of its worker")
    messages = Counter(api_messages(worked.api, [run_id]))

    assert expected == {text: times for text, times in messages.items() if " by " in text}
    assert [] == [text for text in messages if text.startswith("{")]
    assert 1 == sum(times for text, times in messages.items() if "submitting flow run" in text)
