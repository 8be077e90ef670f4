"""What a log record costs, by Prefect's logging, by structlog and by ours; and an active run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.active_runs import Memory
from bench.logged_lines import WARM_UP, Lines
from bench.machine import Spread, spread
from bench.programs import answer
from bench.span_sink import SpanSink, span_sink
from bench.tracing import start_server
from demo.prefect_server import PrefectServer
from demo.sandbox import Sandbox

WAYS = ("prefect", "structlog", "ours", "ours, file", "ours, OTLP", "prefect, API")
"""Who writes the lines, and where to beside standard error."""

Figure = Callable[[Lines], float]
Round = Mapping[str, Lines]
"""One fresh process of each way, one right after another."""


@dataclass(frozen=True, slots=True)
class Logging:
    """What was measured.

    Args:
        records: Of each process.
        rounds: In the order of time.
        arrived: How many records came by OTLP, and how many there should be.
        runs: Under way at once, for the memory.
        memory: By `prefect` and `ours`, one process a round.
    """

    records: int
    rounds: Sequence[Round]
    arrived: tuple[int, int]
    runs: int
    memory: Mapping[str, Sequence[Memory]]

    def a_record(self, way: str, figure: Figure) -> Spread:
        """Return a figure of the way for one record."""
        return spread([figure(each[way]) / self.records for each in self.rounds])

    def ratio(self, way: str, other: str, figure: Figure) -> Spread:
        """Return how many times the other way's figure it is, round by round."""
        return spread([figure(each[way]) / figure(each[other]) for each in self.rounds])

    def a_run(self, way: str) -> Spread:
        """Return the bytes that one more active run has resident."""
        return spread([(each.during - each.before) / self.runs for each in self.memory[way]])


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the programs are connected to."""

    sandbox: Sandbox
    server: PrefectServer
    sink: SpanSink

    def answer(self, module: str, way: str, number: int, **env: str) -> Any:  # noqa: ANN401 - JSON
        return answer(
            self.sandbox,
            "-m",
            module,
            way.partition(",")[0],
            str(number),
            **self.server.client_environment,
            PYTHONPATH=os.pathsep.join(sys.path),
            OTEL_EXPORTER_OTLP_ENDPOINT=self.sink.endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            PREFECT_INSTRUMENTATION_LOG_STREAM="stderr",
            **env,
        )

    def environment(self, way: str) -> dict[str, str]:
        """Return what sends the lines where the way says, and spans nowhere."""
        more = {
            "ours, file": {"PREFECT_INSTRUMENTATION_LOG_FILE": self._file},
            "ours, OTLP": {"OTEL_LOGS_EXPORTER": "otlp"},
        }
        to_api = str(way == "prefect, API").lower()
        return {
            "OTEL_TRACES_EXPORTER": "none",
            "PREFECT_LOGGING_TO_API_ENABLED": to_api,
            **more.get(way, {}),
        }

    @property
    def _file(self) -> str:
        return str(self.sandbox.subfolder("lines") / "lines.log")


def measure_logging(
    records: int, rounds: int, runs: int, progress: Callable[[str], None]
) -> Logging:
    """Start a Prefect server, and write *records* lines in a fresh process of each way and round.

    Each round begins with another way, and figures are compared within a round, so that neither a
    drift of the machine nor the way before favours one. Then follow the processes with *runs* flow
    runs at once.
    """
    with Sandbox() as sandbox, span_sink() as sink:
        stage = _Stage(sandbox, start_server(sandbox), sink)
        measured = []
        for number in range(rounds):
            order = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
            progress(f"round {number + 1} of {rounds}: {'; '.join(order)}")
            measured.append({way: _lines(stage, way, records) for way in order})
        arrived = sink.records
        progress(f"memory of {runs} runs at once, rounds: {rounds}")
        memory = _memory(stage, rounds, runs)
    return Logging(records, measured, (arrived, rounds * (WARM_UP + records)), runs, memory)


def _lines(stage: _Stage, way: str, records: int) -> Lines:
    env = stage.environment(way)
    return msgspec.convert(stage.answer("bench.logged_lines", way, records, **env), Lines)


def _memory(stage: _Stage, rounds: int, runs: int) -> Mapping[str, Sequence[Memory]]:
    found: dict[str, list[Memory]] = {"prefect": [], "ours": []}
    for number in range(rounds):
        for way in sorted(found, reverse=bool(number % 2)):
            printed = stage.answer("bench.active_runs", way, runs)
            found[way].append(msgspec.convert(printed, Memory))
    return found
