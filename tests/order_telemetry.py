"""The pipeline's scene with a receiver of telemetry, and what a run has sent there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from demo.prefect_server import start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox
from etl import errors
from order_scene import Scene, Shop, _start_rates, shop
from otlp_receiver import OtlpReceiver, ReceivedSpan, tree

RULES = Path(errors.__file__).with_name("errors.toml")

_STEP_SECONDS = 180
"""For what takes a few seconds on an idle machine."""


@dataclass(slots=True, kw_only=True)
class WatchedScene(Scene):
    """A scene whose processes say by OTLP what they do.

    All tests have the one receiver, and find what is theirs by the names of their clients.
    """

    receiver: OtlpReceiver
    _clients: set[str] = field(default_factory=set)

    def take(self, client: str) -> str:
        """Return the name, which nobody else has."""
        assert client not in self._clients, f"another test has the client {client}"
        self._clients.add(client)
        return client

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """Return what a program that runs the pipeline needs."""
        # Not `super()`: a class with slots is made anew, and the method's cell has the old one.
        return Scene.environment(self, name, **more) | {
            "PREFECT_PLUGINS_ENABLED": "1",
            "PREFECT_INSTRUMENTATION_ERROR_RULES": str(RULES),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.http_endpoint,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            # The processes stay for the next test.
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            # Where a machine is busy, the usual second may be too short to send what is left.
            "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30s",
        }


@contextmanager
def watched_scene() -> Iterator[WatchedScene]:
    """Set the scene, and clear it away."""
    # Whoever is told to end sends its last before the receiver goes.
    with OtlpReceiver() as receiver, Sandbox() as sandbox:
        server = start_prefect_server(
            sandbox, PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS="1"
        )
        yield WatchedScene(sandbox, server, _start_rates(sandbox), receiver=receiver)


@contextmanager
def watched_shop(scene: WatchedScene, client: str, **env: str) -> Iterator[Shop]:
    """Open a shop whose client has a name of its own, by which its telemetry is found."""
    with shop(scene, **env) as opened:
        yield replace(opened, client=scene.take(client))


def trace_of(
    receiver: OtlpReceiver, client: str, *, flow: str = "client-batch", runs: int = 1
) -> Sequence[ReceivedSpan]:
    """Return the spans of the client's newest run, once so many runs of it have been told of.

    Raises:
        TimeoutError: The span of a flow, which ends last, has not arrived.
    """

    def roots() -> list[ReceivedSpan]:
        spans = (each for each in receiver.spans() if each.name == f"flow {flow}")
        return [each for each in spans if each.attributes.get("client") == client]

    try:
        comes(lambda: len(roots()) >= runs, f"the span of run {runs} of {client}")
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{tree(receiver.spans())}") from None
    last = max(roots(), key=lambda each: each.start_ns)
    return [each for each in receiver.spans() if each.trace_id == last.trace_id]


def totals(receiver: OtlpReceiver, name: str, *labels: str) -> Mapping[tuple[object, ...], float]:
    """Return a counter's sums so far, by labels: processes send what has changed."""
    sums: dict[tuple[object, ...], float] = defaultdict(float)
    for metric in receiver.metrics():
        if metric.name == name:
            for point in metric.points:
                sums[tuple(point.attributes.get(each) for each in labels)] += point.value or 0
    return sums


def last(receiver: OtlpReceiver, name: str, **labels: str) -> float | None:
    """Return a gauge's newest value; None where none has come."""
    points = [
        point
        for metric in receiver.metrics()
        if metric.name == name
        for point in metric.points
        if labels.items() <= dict(point.attributes).items()
    ]
    newest = max(points, key=lambda each: each.end_ns, default=None)
    return None if newest is None else newest.value


def comes(check: Callable[[], bool], what: str) -> None:
    """Return once that has arrived."""
    wait_until(check, within=_STEP_SECONDS, what=what)
