"""`helm test` and the exporter's pods, as real processes with what the chart gives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from certificates import certificate
from collector.parts import Prefect, built
from collector.stack import NOTHING_IS_RARE, Collector
from demo.processes import free_port, wait_until
from helm.shards import Shards, running
from otlp_receiver import OtlpReceiver

NAMES = ("production", "Analytics_EU", "research")


@dataclass(frozen=True, slots=True)
class Ended:
    """How `helm test` ended, and what it said."""

    status: int
    lines: tuple[str, ...]


def helm_test(shards: Shards, **env: str) -> Ended:
    """Run the pod of `helm test`, which gives up at once unless *env* says otherwise."""
    script, environ = shards.tested(**{"TIMEOUT_SECONDS": "1", "OTLP_URL": "", **env})
    done = subprocess.run(
        [sys.executable, script],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    return Ended(done.returncode, tuple(done.stdout.splitlines()))


@pytest.fixture(name="otelcol", scope="session")
def _otelcol() -> Path:
    """The collector's program, built where that was not done."""
    return built()


@pytest.fixture(name="prefect", scope="module")
def _prefect() -> Iterator[str]:
    """The address of a recorded Prefect, which stands for all targets."""
    with Prefect() as prefect:
        yield prefect.url


@pytest.fixture(name="shards", scope="module")
def _shards(tmp_path_factory: pytest.TempPathFactory, prefect: str) -> Iterator[Shards]:
    with pods(tmp_path_factory.mktemp("pods"), prefect) as shards:
        yield shards


@contextmanager
def pods(folder: Path, prefect: str) -> Iterator[Shards]:
    """Run two pods that have read all targets."""
    targets = [{"name": name, "url": prefect} for name in NAMES]
    with running(folder, {"targets": targets}) as shards:
        wait_until(lambda: _known(shards, "1.0") == set(NAMES), within=60, what="all targets")
        yield shards


def _known(shards: Shards, value: str = "") -> set[str]:
    """Return the targets that pods know to be up (1.0), to be down (0.0), or either."""
    pages = [shards.asked(address, "/metrics").text for address in shards.addresses]
    return {
        line.split('"')[1]
        for page in pages
        for line in page.splitlines()
        if line.startswith("prefect_server_up{") and line.endswith(value)
    }


def test_it_passes_where_every_target_is_read(shards: Shards) -> None:
    """With a token, over HTTPS, it sees that each target is read by one of two pods."""
    assert Ended(0, ("ok: exporter: 3 target(s), read by 2 shard(s)",)) == helm_test(shards)


def test_a_changed_file_is_taken_up_as_the_kubelet_brings_it(tmp_path: Path, prefect: str) -> None:
    """Behind a link that was swapped, pods see new targets without a restart; one is down."""
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with pods(tmp_path, prefect) as shards:
        more = [{"name": "down", "url": nobody}, {"name": "more", "url": prefect}]
        shards.configure(targets=[*shards.values["targets"], *more])
        for process in shards.processes:
            os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: {"more", "down"} <= _known(shards), within=60, what="new targets")
        found = helm_test(shards)

    assert 1 == found.status
    (line,) = found.lines
    assert line.startswith("FAILED: exporter: Prefect does not answer for target down: ")


def test_it_tells_of_a_target_that_nobody_reads(shards: Shards) -> None:
    """A target that no pod has is named, with where to look."""
    found = helm_test(shards, TARGETS="production forgotten")

    assert 1 == found.status
    assert "target forgotten is read by 0 of 2 shards" in found.lines[0]


def test_it_tells_of_a_pod_that_does_not_answer(shards: Shards) -> None:
    """An address where nothing answers is named."""
    nobody = f"http://127.0.0.1:{free_port()}"
    found = helm_test(shards, EXPORTER_URLS=nobody)

    assert 1 == found.status
    assert found.lines[0].startswith(f"FAILED: exporter: no answer at {nobody}/metrics")


def test_it_never_says_the_token(shards: Shards) -> None:
    """The exporter's credential is in no line, whatever goes wrong."""
    tested = (helm_test(shards), helm_test(shards, TARGETS="forgotten"))

    assert "t0ken" not in "".join(line for each in tested for line in each.lines)


def test_a_wrong_token_is_told(shards: Shards, tmp_path: Path) -> None:
    """Where the exporter does not take the credential, its answer is told."""
    (tmp_path / "token").write_text("another")
    found = helm_test(shards, BEARER_TOKEN_FILE=str(tmp_path / "token"))

    assert found.lines[0].endswith("/metrics is 401")


def test_another_certificate_is_not_trusted(shards: Shards, tmp_path: Path) -> None:
    """The token goes to nobody who cannot show the certificate of the Secret."""
    other = certificate(tmp_path, "other")[0]
    found = helm_test(shards, CERTIFICATE_FILE=str(other))

    assert "certificate verify failed" in found.lines[0]


class Jaeger(BaseHTTPRequestHandler):
    """Jaeger's API, which knows the traces that a receiver of OTLP has, and a collector's."""

    receiver: OtlpReceiver

    def do_GET(self) -> None:
        """Answer as Jaeger does: 404 for a trace that it does not have."""
        trace_id = self.path.rpartition("/")[2]
        known = {each.trace_id for each in self.receiver.spans()}
        self.send_response(200 if trace_id in known else 404)
        self.end_headers()

    def do_POST(self) -> None:
        """Take whatever is sent, as a collector does."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def jaeger(receiver: OtlpReceiver) -> Iterator[str]:
    """Serve such an API until the block ends; give its address."""
    server = HTTPServer(("127.0.0.1", 0), type("Known", (Jaeger,), {"receiver": receiver}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_trace_goes_all_the_way(otelcol: Path, shards: Shards, tmp_path: Path) -> None:
    """A real gateway, which leaves all out that it may, keeps the trace for Jaeger."""
    with OtlpReceiver() as backend, jaeger(backend) as url:
        env = {"JAEGER_ENDPOINT": backend.grpc_endpoint.removeprefix("http://"), "TRACE_SHARE": "0"}
        with Collector(otelcol, tmp_path, env).gateway(haste=NOTHING_IS_RARE) as gateway:
            found = helm_test(
                shards, OTLP_URL=f"http://{gateway.http}", JAEGER_URL=url, TIMEOUT_SECONDS="30"
            )
        (span,) = backend.spans()

    assert 0 == found.status, found.lines
    assert f"ok: jaeger: it has trace {span.trace_id}" == found.lines[2]


def test_a_trace_that_does_not_arrive_is_told(shards: Shards) -> None:
    """Where the collector takes a trace that Jaeger does not have, both are told."""
    with OtlpReceiver() as nothing, jaeger(nothing) as url:
        found = helm_test(shards, OTLP_URL=url, JAEGER_URL=url)

    assert 1 == found.status
    assert found.lines[1].startswith("ok: collector: it took the span of trace ")
    assert "did not arrive" in found.lines[2]


def test_a_collector_that_is_not_there_is_told(shards: Shards) -> None:
    """Where nothing takes traces, its address is told."""
    nobody = f"http://127.0.0.1:{free_port()}"
    found = helm_test(shards, OTLP_URL=nobody)

    assert f"FAILED: collector: no answer at {nobody}/v1/traces" in found.lines[1]
