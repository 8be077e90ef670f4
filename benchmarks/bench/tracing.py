"""What a span costs a task: Prefect without spans, with its own, and with ours."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bench.imports import Import, measure_imports
from bench.machine import Spread, spread
from bench.programs import answer
from bench.span_sink import SpanSink, span_sink
from bench.traced_tasks import MODES, WARM_UP, Loop
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.sandbox import Sandbox

Round = Mapping[str, Loop]
"""One fresh process of each mode, one right after another."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """What was measured.

    Args:
        tasks: Of each process.
        rounds: In the order of time.
        spans: How many arrived, and how many there should be, of each mode.
        imports: What importing costs.
    """

    tasks: int
    rounds: Sequence[Round]
    spans: Mapping[str, tuple[int, int]]
    imports: Sequence[Import]

    def a_task(self, mode: str, figure: Callable[[Loop], float]) -> Spread:
        """Return a figure of the mode for one task."""
        return spread([figure(each[mode]) / self.tasks for each in self.rounds])

    def over_off(self, mode: str, figure: Callable[[Loop], float]) -> Spread:
        """Return by how much a task's figure is above that without spans, round by round."""
        return spread(
            [(figure(each[mode]) - figure(each["off"])) / self.tasks for each in self.rounds]
        )

    def ratio(self, mode: str, other: str, figure: Callable[[Loop], float]) -> Spread:
        """Return how many times the other mode's figure it is, round by round."""
        return spread([figure(each[mode]) / figure(each[other]) for each in self.rounds])


def measure_tracing(tasks: int, rounds: int, progress: Callable[[str], None]) -> Tracing:
    """Start a Prefect server, and run *tasks* tasks in a fresh process of each mode and round.

    The order of the modes changes with each round, and figures are compared within a round, so
    that neither a drift of the machine nor the mode before favours one.
    """
    orders = itertools.islice(itertools.cycle(itertools.permutations(MODES)), rounds)
    arrived = dict.fromkeys(MODES, 0)
    measured = []
    with Sandbox() as sandbox, span_sink() as sink:
        progress("imports in fresh processes")
        imports = measure_imports(sandbox, 2 * rounds)
        server = start_server(sandbox)
        for number, order in enumerate(orders, 1):
            progress(f"round {number} of {rounds}: {', '.join(order)}")
            loops = {}
            for mode in order:
                before = sink.spans
                loops[mode] = _run(sandbox, server, sink, mode, tasks)
                arrived[mode] += sink.spans - before
            measured.append(loops)
    due = rounds * (1 + WARM_UP + tasks)
    spans = {mode: (arrived[mode], 0 if mode == "off" else due) for mode in MODES}
    return Tracing(tasks, measured, spans, imports)


def start_server(sandbox: Sandbox) -> PrefectServer:
    """Start a server that takes the tasks' events and drops them: to store them takes a core."""
    return start_prefect_server(
        sandbox,
        PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED="false",
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED="false",
        PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED="false",
    )


def _run(sandbox: Sandbox, server: PrefectServer, sink: SpanSink, mode: str, tasks: int) -> Loop:
    printed = answer(
        sandbox,
        "-m",
        "bench.traced_tasks",
        mode,
        str(tasks),
        **server.client_environment,
        PYTHONPATH=os.pathsep.join(sys.path),
        PREFECT_LOGGING_LEVEL="WARNING",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    return msgspec.convert(printed, Loop)
