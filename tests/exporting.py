"""Processes that make spans and end, and how they ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import dedent

from otlp_receiver import OtlpReceiver

START = """
import time
from opentelemetry import trace
from prefect_instrumentation import _provider
_provider.ensure_provider()

def make(count):
    for number in range(count):
        trace.get_tracer("test").start_span(f"span {number}").end()

"""
END = "\nimport time\nprint(time.monotonic())\n"
_OURS = ("OTEL_", "PREFECT_INSTRUMENTATION_", "KUBERNETES_", "K8S_")


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended.

    Args:
        lines: that its code printed.
        complaints: the lines on standard error.
        delay: seconds from the end of its code to its own.
    """

    status: int
    lines: tuple[str, ...]
    complaints: tuple[str, ...]
    delay: float


def variables(receiver: OtlpReceiver, protocol: str) -> dict[str, str]:
    """Return what leads spans to a receiver by `grpc` or `http/protobuf`."""
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    return {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def run(code: str, environ: Mapping[str, str] | None = None, *, prelude: str = START) -> Ended:
    """Run code in a process that has a provider, `trace` and `make(count)`, until it ends."""
    with started(code, environ, prelude=prelude) as process:
        return ended(process)


@contextmanager
def started(
    code: str, environ: Mapping[str, str] | None = None, *, prelude: str = START
) -> Iterator[subprocess.Popen[str]]:
    """Start such a process; it does not outlive the context."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    process = subprocess.Popen(
        [sys.executable, "-c", prelude + dedent(code) + END],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, **(environ or {})},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process to end, a minute at most."""
    output, complaints = process.communicate(timeout=60)
    now = time.monotonic()
    *lines, end = output.splitlines()
    return Ended(process.returncode, tuple(lines), tuple(complaints.splitlines()), now - float(end))
