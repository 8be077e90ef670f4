"""Processes whose standard output is kept apart, and read as what it should be: log lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from demo.api import ask
from demo.prefect_server import start_prefect_server
from demo.processes import Process, wait_until
from demo.sandbox import Sandbox
from otlp_receiver import OtlpReceiver, ReceivedSpan
from traced_scene import Scene

Line: TypeAlias = Mapping[str, Any]

FIRST = ("time", "level", "event", "logger", "correlation_id", "trace_id", "span_id")
RUN = ("flow", "flow_run_id", "flow_run_name", "task", "task_run_id", "attempt")

GREETING = re.compile(r"Worker '.+' (?:started|stopped)!")
"""What `prefect worker start` tells the person at the terminal."""

OF_SPANS = {
    "flow": "prefect.flow.name",
    "flow_run_id": "prefect.flow_run.id",
    "flow_run_name": "prefect.flow_run.name",
    "task": "prefect.task.name",
    "task_run_id": "prefect.task_run.id",
    "deployment": "prefect.deployment.name",
    "work_pool": "prefect.work_pool.name",
    "correlation_id": "correlation_id",
}
"""What the fields of lines are called on spans."""


@contextmanager
def scene() -> Iterator[Scene]:
    """Set a scene whose server writes log lines too, and clear it away."""
    with Sandbox() as sandbox, OtlpReceiver() as receiver:
        server = start_prefect_server(
            sandbox,
            PREFECT_PLUGINS_ENABLED="1",
            PREFECT_SERVER_LOGGING_LEVEL="INFO",
            OTEL_TRACES_EXPORTER="none",
        )
        yield Scene(sandbox, server, receiver)


@dataclass(frozen=True, slots=True)
class Logged:
    """A process, and the file that its standard output goes to."""

    process: Process
    stdout: Path

    def raw(self) -> list[str]:
        """Return the lines so far, whatever they are; not one that is being written."""
        text = self.stdout.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()

    def lines(self) -> list[Line]:
        """Return the lines; each has to be one JSON object, but for a worker's greeting."""
        return [parsed(line) for line in self.raw() if not GREETING.fullmatch(line)]

    def wait(self, seconds: float = 120) -> Logged:
        """Return this, once the process has ended well."""
        wait_until(lambda: not self.process.running, within=seconds, what=self.process.program.name)
        assert self.process.wait() == 0, self.process.log_tail()
        return self


def start(
    scene: Scene,
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    ready: Callable[[], bool] = lambda: True,
) -> Logged:
    """Start a process with a file for its standard output; standard error goes to its log."""
    stdout = scene.sandbox.subfolder("stdout") / name
    command = ["/bin/sh", "-c", 'exec "$@" > "$0"', str(stdout), *argv]
    return Logged(scene.start(name, command, env, ready), stdout)


def parsed(line: str) -> Line:
    """Return a line's object.

    Raises:
        AssertionError: it is none.
    """
    try:
        found = json.loads(line)
    except ValueError:
        raise AssertionError(f"not JSON: {line!r}") from None
    assert isinstance(found, dict), line
    return found


def events(lines: Sequence[Line]) -> Counter[str]:
    """Return how often each thing is said."""
    return Counter(line["event"] for line in lines)


def of_span(span: ReceivedSpan) -> dict[str, object]:
    """Return the fields that lines of the span's run have to have, but for the attempt."""
    told = {name: span.attributes.get(key) for name, key in OF_SPANS.items()}
    told |= {"trace_id": span.trace_id, "span_id": span.span_id}
    return {name: value for name, value in told.items() if value}


def span_of(line: Line, spans: Sequence[ReceivedSpan]) -> ReceivedSpan:
    """Return the span of the run that a line is from."""
    key = "prefect.task_run.id" if "task_run_id" in line else "prefect.flow_run.id"
    kind = "task" if "task_run_id" in line else "flow"
    run_id = line.get("task_run_id") or line["flow_run_id"]
    (span,) = (
        span
        for span in spans
        if span.attributes.get(key) == run_id and span.attributes["prefect.run.type"] == kind
    )
    return span


def api_messages(api: httpx.Client, run_ids: Sequence[str]) -> list[str]:
    """Return the messages that the Prefect API has of some flow runs, in their order."""
    filters = {"flow_run_id": {"any_": list(run_ids)}}
    found: list[str] = []
    while True:  # the API gives 200 at most
        page = ask(
            api, "/logs/filter", logs=filters, limit=200, offset=len(found), sort="TIMESTAMP_ASC"
        )
        found += [each["message"] for each in page]
        if len(page) < 200:
            return found
