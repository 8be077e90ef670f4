"""What containers write arrives once and whole: deploy/otel-collector/container-logs.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.stack import Collector, docker_line
from demo.processes import wait_until
from otlp_receiver import Fault, OtlpReceiver, ReceivedLog

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NOON_NS = 1_795_262_400_000_000_000
CHUNK = 16 * 1024
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
OURS = {
    "time": "2026-11-21T03:12:09.113425Z",
    "level": "error",
    "event": "Task run failed",
    "logger": "prefect_instrumentation.runs",
    "correlation_id": "ord-42",
    "trace_id": TRACE,
    "span_id": SPAN,
    "flow": "fulfil",
    "flow_run_id": "0b7a3f5c",
    "deployment": "shop",
    "attempt": 1,
    "item": "tea",
    "error.type": "ValueError",
}


class Docker:
    """A folder as Docker has it, with one container's log file.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.containers = folder / "containers"
        self.log = self.containers / "c1" / "c1-json.log"
        self.log.parent.mkdir(parents=True)
        self._written = 0

    def write(self, *logs: str, project: str = "po") -> None:
        """Let the container write, each a nanosecond later than the one before."""
        for log in logs:
            self._written += 1
            line = docker_line(log, project=project, at_ns=NOON_NS + self._written)
            self.append(line.encode())

    def append(self, line: bytes) -> None:
        """Append to the file as it is."""
        with self.log.open("ab") as file:
            file.write(line)

    def rotate(self) -> None:
        """Put the file aside, as Docker does at its greatest size."""
        self.log.rename(self.log.with_name(f"{self.log.name}.1"))


@pytest.fixture(name="docker")
def _docker(tmp_path: Path) -> Docker:
    """A container's log file."""
    return Docker(tmp_path)


@pytest.fixture(name="backend")
def _backend() -> Iterator[OtlpReceiver]:
    """What stands where the collector of the stack would."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(name="reader")
def _reader(tmp_path: Path, otelcol: Path, docker: Docker, backend: OtlpReceiver) -> Collector:
    """How to run the reader of the project `po`."""
    env = {
        "COLLECTOR_ENDPOINT": backend.grpc_endpoint,
        "COMPOSE_PROJECT_NAME": "po",
        "DOCKER_CONTAINERS": str(docker.containers),
    }
    return Collector(otelcol, tmp_path, env)


def bodies(backend: OtlpReceiver) -> list[object]:
    """Return the lines that came, in the order of their times."""
    return [each.body for each in sorted(backend.logs(), key=lambda each: each.time_ns)]


def read(reader: Collector, backend: OtlpReceiver, number: int) -> tuple[ReceivedLog, ...]:
    """Return the first lines that come."""
    with reader.container_logs():
        return backend.wait_for_logs(lambda found: len(found) >= number)


def test_line_of_ours_is_found_by_its_ids(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """Keys of docs/logging.md become attributes; the body stays as it was; the time is Docker's."""
    line = json.dumps(OURS)
    docker.write(f"{line}\n")
    (found,) = read(reader, backend, 1)

    names = {"logger", "correlation_id", "flow", "flow_run_id", "deployment", "error.type"}
    attributes = {name: OURS[name] for name in names} | {"attempt": "1", "stream": "stdout"}
    resource = {
        "service.name": "worker",
        "service.namespace": "po",
        "container.name": "po-worker-1",
    }
    assert (line, "error", "ERROR") == (found.body, found.severity_text, found.severity)
    assert (TRACE, SPAN, NOON_NS + 1) == (found.trace_id, found.span_id, found.time_ns)
    assert attributes == found.attributes
    assert resource == found.resource


def test_text_stays_text(reader: Collector, docker: Docker, backend: OtlpReceiver) -> None:
    """A line of logfmt has a severity, any other has none; blanks at its start stay."""
    docker.write('ts=2026-11-21T03:12:09Z level=warn msg="slow"\n', "  ready\n", "\n", "end\n")
    found = read(reader, backend, 4)

    assert ["WARN", "UNSPECIFIED", "UNSPECIFIED", "UNSPECIFIED"] == [
        each.severity for each in found
    ]
    assert "  ready" == found[1].body


def test_only_this_project_is_read(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """Other containers of the machine stay private, also where their lines pretend."""
    docker.write("theirs\n", '"com.docker.compose.project":"po"\n', project="other")
    docker.append(b'{"log":"no labels\\n","stream":"stdout","time":"2026-11-21T12:00:00Z"}\n')
    docker.write("ours\n")
    read(reader, backend, 1)

    assert ["ours"] == bodies(backend)


def test_line_that_docker_cut_is_whole(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """A line of 64 KiB, which Docker writes in pieces, is one, and is read as JSON."""
    line = json.dumps(OURS | {"input": "x" * (64 * 1024 - 500)}) + "\n"
    docker.write(*(line[at : at + CHUNK] for at in range(0, len(line), CHUNK)), "next\n")
    found = read(reader, backend, 2)

    assert [line.rstrip(), "next"] == bodies(backend)
    assert {TRACE, ""} == {each.trace_id for each in found}


def test_hostile_lines_are_bounded(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """Endless, broken and lying lines come as text of at most 144 KiB, and what follows is read."""
    docker.write(*["{" * CHUNK] * 40, "\n")
    docker.write('{"trace_id":"0' + "z" * 31 + '","span_id":7,"flow":{"a":["b"]},"level":[]}\n')
    docker.write("{bad\n", '{"level":"' + "e" * 999 + '","trace_id":"' + "0" * 32 + '"}\n')
    docker.append(b"no line of Docker's\n\x00\xff\n")
    docker.append(docker_line("XXXX\n", at_ns=NOON_NS + 500).encode().replace(b"XXXX", b"\xff\xc3"))
    docker.write("end\n")
    found = read(reader, backend, 10)

    assert max(len(str(each.body)) for each in found) <= 128 * 1024 + CHUNK
    assert {""} == {each.trace_id.strip("0") + each.span_id for each in found}
    assert {"UNSPECIFIED"} == {each.severity for each in found}
    assert "end" in bodies(backend)


def wait_for_note(reader: Collector) -> None:
    """Wait until the reader has noted how far it has read, which it does twice a second."""
    (note,) = (reader.folder / "storage").glob("receiver_*")
    before = note.stat().st_mtime_ns
    wait_until(lambda: note.stat().st_mtime_ns > before, within=30, what="a note")


def test_nothing_is_lost_or_doubled_over_a_restart(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """It goes on where it was, after an orderly end and after a kill, also in a file put aside."""
    docker.write("1\n", "2\n")
    with reader.container_logs() as running:
        backend.wait_for_logs(lambda found: len(found) == 2)
        running.process.stop()
        docker.write("3\n")
        docker.rotate()
        docker.write("4\n")
        running.process.start()
        backend.wait_for_logs(lambda found: len(found) == 4)
        docker.write("5\n")
        backend.wait_for_logs(lambda found: len(found) == 5)
        wait_for_note(reader)
        running.process.kill()
        docker.write("6\n")
        running.process.start()
        backend.wait_for_logs(lambda found: len(found) >= 6)
        docker.write("7\n")
        backend.wait_for_logs(lambda found: "7" in {each.body for each in found})

    assert [str(number) for number in range(1, 8)] == bodies(backend)


def test_nothing_is_lost_when_it_is_killed_at_work(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """Of lines that come twice, time and text are the same, and so Loki keeps one."""
    expected = {f"line {number}" for number in range(4000)}
    with reader.container_logs() as running:
        for start in range(0, 4000, 1000):
            docker.write(*(f"line {number}\n" for number in range(start, start + 1000)))
            wait_until(lambda: len(backend.logs()) > start, within=30, what="some")  # noqa: B023  # called at once
            running.process.kill()
            running.process.start()
        wait_until(lambda: expected <= set(bodies(backend)), within=60, what="all lines")

    seen = {(each.time_ns, each.body) for each in backend.logs()}
    assert len(expected) == len(seen)


def test_lines_wait_for_a_collector_that_is_away(
    reader: Collector, docker: Docker, backend: OtlpReceiver
) -> None:
    """What was written meanwhile comes, also over a restart in the outage."""
    with reader.container_logs() as running:
        with backend.failing(Fault.REFUSED):
            docker.write(*(f"{number}\n" for number in range(100, 400)))
            wait_until(
                lambda: running.own("otelcol_exporter_queue_size") > 0, within=30, what="a queue"
            )
            running.process.stop()
            running.process.start()
        backend.wait_for_logs(lambda found: len(found) >= 300, 60)

    assert [str(number) for number in range(100, 400)] == bodies(backend)
