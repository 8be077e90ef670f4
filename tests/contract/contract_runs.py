"""What arrives at an OTLP backend from real runs, against a real server of the same Prefect."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.prefect_server import start_prefect_server
from demo.sandbox import Sandbox
from otlp_receiver import OtlpReceiver, ReceivedSpan, tree

FLOWS = Path(__file__).parent / "flows.py"

PREFECT = tuple(int(part) for part in importlib.metadata.version("prefect").split(".")[:2])
PLUGINS = "PREFECT_PLUGINS_ENABLED" if PREFECT >= (3, 7) else "PREFECT_EXPERIMENTS_PLUGINS_ENABLED"


@dataclass(frozen=True, slots=True)
class Heard:
    """All that one process and its children have told: by spans, and on their terminal."""

    spans: tuple[ReceivedSpan, ...]
    output: str
    records: int = 0
    """How many log records came by OTLP."""

    points: int = 0
    """How many points of metrics did."""

    def __str__(self) -> str:
        """Draw the spans, for a test's message."""
        return f"{tree(self.spans)}\n{self.output}"

    def one(self, name: str) -> ReceivedSpan:
        """Return the only span of that name."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            pytest.fail(f"{len(found)} spans are called {name!r} in\n{self}", pytrace=False)
        return found[0]

    def below(self, parent: ReceivedSpan) -> list[str]:
        """Return the names of the spans of its trace that have this parent, sorted."""
        place = (parent.trace_id, parent.span_id)
        return sorted(span.name for span in self.spans if (span.trace_id, span.parent_id) == place)

    def lines(self, flow: str = "", logger: str = "") -> list[dict[str, object]]:
        """Return the log lines, those of a flow or of a logger."""
        found = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [
            line
            for line in found
            if flow in ("", line.get("flow")) and logger in ("", line["logger"])
        ]

    def native(self) -> list[object]:
        """Return the types of the runs that Prefect's own spans tell of."""
        return [
            span.attributes["prefect.run.type"] for span in self.spans if span.scope == "prefect"
        ]


class Theatre:
    """A Prefect server, and room for processes that run flows."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._server = start_prefect_server(sandbox)

    def play(self, mode: str, **more: str) -> Heard:
        """Run `flows.py` in that mode and return what it told, once it has ended."""
        with OtlpReceiver() as receiver:
            environment = self._sandbox.prefect_environment(
                mode,
                **self._server.client_environment,
                OTEL_EXPORTER_OTLP_ENDPOINT=receiver.http_endpoint,
                # Where a machine is busy, the usual second may be too short to send what is left.
                PREFECT_INSTRUMENTATION_EXIT_TIMEOUT="30s",
                **more,
            )
            done = subprocess.run(
                [sys.executable, str(FLOWS), mode],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=240,
                check=False,
            )
        if done.returncode:
            pytest.fail(f"{FLOWS.name} {mode} ended with {done.stdout[-4000:]}", pytrace=False)
        points = sum(len(metric.points) for metric in receiver.metrics())
        return Heard(receiver.spans(), done.stdout, len(receiver.logs()), points)


@pytest.fixture(scope="session", name="theatre")
def _theatre() -> Iterator[Theatre]:
    with Sandbox() as sandbox:
        yield Theatre(sandbox)


@pytest.fixture(scope="session", name="heard")
def _heard(theatre: Theatre) -> Heard:
    """Return what all flows told, with nothing but Prefect's plugin hook to set them up."""
    return theatre.play("zero-code", **{PLUGINS: "true"})


def test_retried_flow_has_one_span(heard: Heard) -> None:
    """It covers all attempts and their tasks, and ends well as the run did."""
    span = heard.one("flow retried")

    assert ["task step"] * 3 == heard.below(span)
    assert ("COMPLETED", 3) == (
        span.attributes["prefect.state.type"],
        span.attributes["prefect.run.count"],
    )
    assert "ERROR" != span.status


def test_failed_flow_names_its_error(heard: Heard) -> None:
    """Its span is marked, and says which error it was."""
    span = heard.one("flow failing")

    assert ("FAILED", "LookupError") == (
        span.attributes["prefect.state.type"],
        span.attributes["error.type"],
    )
    assert "ERROR" == span.status


def test_task_that_timed_out_has_a_span(heard: Heard) -> None:
    """A synchronous task's timeout ends its span."""
    span = heard.one("task overslept")

    assert heard.one("flow late").span_id == span.parent_id
    assert "TimedOut" == span.attributes["prefect.state.name"]
    assert "ERROR" == span.status


def test_task_that_never_started_has_a_span(heard: Heard) -> None:
    """A task whose upstream has failed is seen to be not ready."""
    span = heard.one("task starved")

    assert heard.one("flow starving").span_id == span.parent_id
    assert "NotReady" == span.attributes["prefect.state.name"]
    assert "ERROR" == span.status


def test_nested_runs_are_one_trace(heard: Heard) -> None:
    """Flows, mapped tasks and tasks that a generator calls stand below who called them."""
    top = heard.one("flow nesting")
    subflow, generator = heard.one("flow plain"), heard.one("task count")

    assert ["flow plain", "task count", "task step", "task step"] == heard.below(top)
    assert ["task step"] == heard.below(subflow)
    assert ["task step"] * 2 == heard.below(generator)


def test_asynchronous_runs_are_one_trace(heard: Heard) -> None:
    """Tasks that run at the same time have the same parent."""
    assert ["task stride"] * 2 == heard.below(heard.one("flow striding"))


def test_runs_have_the_names_that_were_given(heard: Heard) -> None:
    """What a flow and a task call their runs is on their spans."""
    flow = heard.one("flow striding")
    tasks = {
        span.attributes["prefect.task_run.name"]
        for span in heard.spans
        if span.name == "task stride"
    }

    assert "walk" == flow.attributes["prefect.flow_run.name"]
    assert {"stride-1", "stride-2"} == tasks


def test_other_processes_are_in_the_trace(heard: Heard) -> None:
    """Tasks that a process pool runs stand below the flow that submitted them."""
    flow = heard.one("flow pooling")
    tasks = [span for span in heard.spans if span.parent_id == flow.span_id]

    assert ["task step"] * 2 == heard.below(flow)
    assert flow.resource["process.pid"] not in {span.resource["process.pid"] for span in tasks}


def test_created_flow_run_carries_the_trace(heard: Heard) -> None:
    """Its labels lead to the run that created it, beside those that the caller has given."""
    span = heard.one("flow sending")
    *_, trace_id, span_id, _flags = str(span.attributes["sent.traceparent"]).split("-")

    assert (span.trace_id, span.span_id) == (trace_id, span_id)
    assert "data" == span.attributes["sent.team"]


def test_no_run_has_two_spans(heard: Heard) -> None:
    """Prefect's native spans are not there beside ours, and no flow is in another's trace."""
    roots = [span for span in heard.spans if not span.parent_id]

    assert [] == heard.native()
    assert [
        "flow failing",
        "flow late",
        "flow nesting",
        "flow pooling",
        "flow retried",
        "flow sending",
        "flow starving",
        "flow striding",
        "flow talking",
    ] == sorted(span.name for span in roots)


def test_all_ways_to_write_make_lines_of_one_run(heard: Heard) -> None:
    """Prefect's loggers, `logging`, structlog and `print` say which run and which trace."""
    span = heard.one("flow talking")
    lines = [line for line in heard.lines("talking") if str(line["event"]).startswith("order ")]

    assert ["order taken", "order packed", "order sent", "order printed"] == [
        line["event"] for line in lines
    ]
    assert [7, None, 7, None] == [line.get("order") for line in lines]
    assert {
        (
            span.trace_id,
            span.span_id,
            span.attributes["correlation_id"],
            span.attributes["prefect.flow_run.id"],
        )
    } == {
        (line["trace_id"], line["span_id"], line["correlation_id"], line["flow_run_id"])
        for line in lines
    }


def test_value_of_a_secret_block_is_hidden(heard: Heard) -> None:
    """What a block keeps secret is not in the line that gives it away."""
    assert ["paid by [redacted]"] == [
        line["event"] for line in heard.lines("talking") if "paid" in str(line["event"])
    ]
    assert "hunter2" not in heard.output


def test_attempts_have_their_numbers(heard: Heard) -> None:
    """The lines of a flow that fails twice say in which attempt."""
    failed = [line["attempt"] for line in heard.lines("retried") if "exception" in line]

    assert [1, 2] == failed


def test_failed_run_has_one_line_of_its_own(heard: Heard) -> None:
    """It names the error as the span does."""
    span = heard.one("flow failing")
    (line,) = heard.lines("failing", "prefect_instrumentation.runs")

    assert "Flow run failed" == line["event"]
    keys = ("error.type", "prefect.error.fingerprint", "prefect.error.category")
    assert [span.attributes[key] for key in keys] == [line[key] for key in keys]


def test_all_is_well(heard: Heard) -> None:
    """Nothing is said about this Prefect or of telemetry that was lost."""
    assert [] == heard.lines(logger="prefect_instrumentation")
    assert "Telemetry is incomplete" not in heard.output


def test_other_signals_are_sent_or_it_is_said_why_not(theatre: Theatre) -> None:
    """Records and metrics need an SDK of some age; with an older one the run goes on without."""
    heard = theatre.play(
        "uninstrumented",
        PREFECT_INSTRUMENTATION_LOGS="json",
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_METRICS_EXPORTER="otlp",
    )
    told = heard.output.count("needs opentelemetry-sdk 1.45 or newer")

    assert (True, True, 0) == (heard.records > 0, heard.points > 0, told) or (0, 0, 2) == (
        heard.records,
        heard.points,
        told,
    )
    assert 2 == [span.scope for span in heard.spans].count("prefect_instrumentation")


def test_uninstrument_restores_native_spans(theatre: Theatre) -> None:
    """Runs after it are told of by Prefect itself, and only by Prefect."""
    heard = theatre.play("uninstrumented")
    ours = [span.name for span in heard.spans if span.scope != "prefect"]

    assert ["flow plain", "task step"] == sorted(ours)
    assert ["flow", "task"] == sorted(map(str, heard.native()))


def test_missing_seam_leaves_native_spans(theatre: Theatre) -> None:
    """Tasks have Prefect's spans where its task engine is strange, with one warning."""
    heard = theatre.play("seamless")

    assert ["task"] * 2 == heard.native()
    assert 2 == [span.name for span in heard.spans].count("flow plain")
    assert 1 == heard.output.count("run_generator_task_sync")
