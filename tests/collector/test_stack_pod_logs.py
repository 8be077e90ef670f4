"""What pods write arrives once and whole: deploy/otel-collector/pod-logs.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.stack import Collector
from otlp_receiver import OtlpReceiver, ReceivedLog

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UID = "0b7a3f5c-0000-4000-8000-000000000001"
TIME = "2026-11-21T03:12:09"
NOON_NS = 1_795_230_729_000_000_000


class Node:
    """A folder as the kubelet has it below /var/log.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.pods = folder / "pods"
        self._written = 0

    def write(
        self, *lines: str, pod: str = "prefect_etl-x7k2p", container: str = "prefect-job"
    ) -> Path:
        """Let a container write, by containerd; each line has a flag of its own at its beginning.

        Returns:
            The file.
        """
        file = self.pods / f"{pod}_{UID}" / container / "0.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            for line in lines:
                self._written += 1
                log.write(f"{TIME}.{self._written:09d}Z stdout {line}\n")
        return file


@pytest.fixture(name="node")
def _node(tmp_path: Path) -> Node:
    """A node's log files."""
    return Node(tmp_path)


@pytest.fixture(name="backend")
def _backend() -> Iterator[OtlpReceiver]:
    """What stands where an agent or a gateway would."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(name="reader")
def _reader(tmp_path: Path, otelcol: Path, node: Node, backend: OtlpReceiver) -> Collector:
    """How to read the pods of namespace `prefect`, but for those called noisy."""
    patterns = [f"{node.pods}/prefect_*/*/*.log", f"{node.pods}/prefect_*/*/*.log.*[0-9]"]
    env = {
        "COLLECTOR_ENDPOINT": backend.grpc_endpoint,
        "POD_LOGS": json.dumps(patterns),
        "POD_LOGS_EXCLUDE": json.dumps([f"{node.pods}/prefect_noisy-*/*/*"]),
    }
    return Collector(otelcol, tmp_path, env)


def read(reader: Collector, backend: OtlpReceiver, number: int) -> list[ReceivedLog]:
    """Return the first lines that come, in the order of their times."""
    with reader.pod_logs():
        found = backend.wait_for_logs(lambda found: len(found) >= number)
    return sorted(found, key=lambda each: each.time_ns)


def test_line_says_which_pod_wrote_it(reader: Collector, node: Node, backend: OtlpReceiver) -> None:
    """Names are those of the file; the time is the runtime's; the ids are those in the line."""
    line = json.dumps({"level": "error", "event": "failed", "trace_id": TRACE, "flow": "etl"})
    node.write(f"F {line}")
    (found,) = read(reader, backend, 1)

    names = {
        "service.name": "prefect-job",
        "service.namespace": "prefect",
        "container.name": "prefect-job",
        "k8s.container.name": "prefect-job",
        "k8s.namespace.name": "prefect",
        "k8s.pod.name": "etl-x7k2p",
        "k8s.pod.uid": UID,
    }
    assert names.items() <= found.resource.items()
    assert (line, "ERROR", TRACE) == (found.body, found.severity, found.trace_id)
    assert NOON_NS + 1 == found.time_ns
    assert {"flow": "etl", "stream": "stdout"} == found.attributes


def test_line_that_the_runtime_has_cut_is_whole(
    reader: Collector, node: Node, backend: OtlpReceiver
) -> None:
    """Its parts are put together, and blanks stay where they were."""
    node.write(f"P {'a' * 16_000}", f"P {'b' * 16_000} ", "F  end", "F ready")
    found = read(reader, backend, 2)

    assert ["a" * 16_000 + "b" * 16_000 + "  end", "ready"] == [each.body for each in found]


def test_only_the_pods_that_were_asked_for_are_read(
    reader: Collector, node: Node, backend: OtlpReceiver
) -> None:
    """Other namespaces are not, nor those that are left out, nor what is packed."""
    node.write("F theirs", pod="kube-system_etl-1")
    node.write("F more than enough", pod="prefect_noisy-1")
    packed = node.write("F packed", pod="prefect_old-1")
    packed.rename(packed.with_name("0.log.20261120-031209.gz"))
    node.write("F ours")
    found = read(reader, backend, 1)

    assert ["ours"] == [each.body for each in found]


def test_file_that_was_put_aside_is_read(
    reader: Collector, node: Node, backend: OtlpReceiver
) -> None:
    """The kubelet has begun another one before the reader came."""
    full = node.write("F before")
    full.rename(full.with_name("0.log.20261121-031209"))
    node.write("F after")
    found = read(reader, backend, 2)

    assert ["before", "after"] == [each.body for each in found]


def test_nothing_is_read_twice(reader: Collector, node: Node, backend: OtlpReceiver) -> None:
    """A reader that comes back, with what it noted, goes on where it was."""
    node.write("F one")
    read(reader, backend, 1)
    node.write("F two")
    found = read(reader, backend, 2)

    assert ["one", "two"] == [each.body for each in found]
