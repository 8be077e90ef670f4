"""A Prefect server, a receiver of spans, and processes that run traced flows between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import otlp_receiver
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, wait_until
from demo.sandbox import Sandbox
from otlp_receiver import OtlpReceiver, ReceivedSpan

Way: TypeAlias = Literal["plugin", "setup", "opentelemetry-instrument"]

TESTS = Path(__file__).parent

_READY_SECONDS = 180.0
"""For what takes seconds on an idle machine: most of it is to import Prefect."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the processes under test are connected to."""

    sandbox: Sandbox
    server: PrefectServer
    receiver: OtlpReceiver

    def environment(self, name: str, way: Way, protocol: otlp_receiver.Protocol) -> dict[str, str]:
        """Return the environment of a process that is instrumented in that way."""
        endpoint = (
            self.receiver.grpc_endpoint if protocol == "grpc" else self.receiver.http_endpoint
        )
        return self.sandbox.prefect_environment(
            name,
            **self.server.client_environment,
            **({"PREFECT_PLUGINS_ENABLED": "1"} if way == "plugin" else {}),
            PYTHONPATH=str(TESTS),
            TRACED_BY=way,
            OTEL_SERVICE_NAME=name,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc" if protocol == "grpc" else "http/protobuf",
            # Where a machine is busy, the usual second may be too short to send what is left.
            PREFECT_INSTRUMENTATION_EXIT_TIMEOUT="30s",
            # Whoever delays a task leaves its parameters there for whoever runs it.
            PREFECT_LOCAL_STORAGE_PATH=str(self.sandbox.subfolder("storage")),
            PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
            PREFECT_LOGGING_LEVEL="WARNING",
        )

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        ready: Callable[[], bool] = lambda: True,
    ) -> Process:
        """Start a process of the sandbox, and return when it is ready."""
        program = Program(name=name, argv=argv, env=env, ready=ready, ready_within=_READY_SECONDS)
        return self.sandbox.start(program)

    def spans_by(self, service: str) -> tuple[ReceivedSpan, ...]:
        """Return what a service has sent so far."""
        return tuple(each for each in self.receiver.spans() if _service(each) == service)

    def spans_of(self, service: str, *, root: str, count: int) -> tuple[ReceivedSpan, ...]:
        """Return the spans of a service's trace below a root, once so many have arrived.

        Raises:
            TimeoutError: they did not within a minute; the message draws what did.
        """

        def found() -> list[ReceivedSpan]:
            traces = {each.trace_id for each in self.spans_by(service) if each.name == root}
            return [each for each in self.receiver.spans() if each.trace_id in traces]

        try:
            wait_until(lambda: len(found()) >= count, within=60, what=f"{count} spans of {root}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{otlp_receiver.tree(found())}") from None
        return tuple(found())


@contextmanager
def scene() -> Iterator[Scene]:
    """Set the scene, and clear it away."""
    with Sandbox() as sandbox, OtlpReceiver() as receiver:
        yield Scene(sandbox, start_prefect_server(sandbox), receiver)


def command(way: Way, module: str, *arguments: str) -> list[str]:
    """Return how a module is run, instrumented in that way."""
    python = [sys.executable, "-m", module, *arguments]
    if way == "opentelemetry-instrument":
        return [str(Path(sys.executable).with_name("opentelemetry-instrument")), *python]
    return python


def _service(span: ReceivedSpan) -> object:
    return span.resource.get("service.name")
