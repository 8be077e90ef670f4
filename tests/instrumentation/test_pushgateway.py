"""Metrics at a Pushgateway: a real one, and some that refuse, hang or drip."""

from __future__ import annotations

import base64
import contextvars
import logging
import re
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from demo.processes import Program, answers_at, free_port, wait_until
from demo.sandbox import Sandbox, find_program
from observed import FLOW
from prefect_instrumentation import _guard
from prefect_instrumentation._meters import pushgateway
from prefect_instrumentation._meters.definitions import ALL, ATTEMPTS, DURATIONS, Definition
from prefect_instrumentation._meters.instruments import Instruments
from prefect_instrumentation._meters.observer import MeterObserver
from prefect_instrumentation._runs import Run
from prefect_instrumentation._settings import Settings
from traced_scene import TESTS, Scene

PAGE = Path(__file__).parents[2] / "docs" / "meters.md"
PROGRAM = find_program("prometheus-pushgateway", "pushgateway")
ORDERS = Definition("shop_orders_total", "counter", "{order}", "Orders.")
GROUP = {"job": "prefect", "root_task": "", "root_deployment": ""}

needs_gateway = pytest.mark.skipif(PROGRAM is None, reason="prometheus-pushgateway is missing")


@pytest.fixture(autouse=True)
def _tells_again() -> Iterator[None]:
    """Forget what this process has warned of, before the test."""
    told = set(_guard._told)  # noqa: SLF001 - each test has its own warnings
    _guard._told.discard("pushgateway")  # noqa: SLF001 - as above
    yield
    _guard._told.clear()  # noqa: SLF001 - as above
    _guard._told.update(told)  # noqa: SLF001 - as above


@pytest.fixture(name="gateway", scope="module")
def _gateway() -> Iterator[str]:
    """Return the address of a gateway that keeps nothing on disk."""
    assert PROGRAM
    address = f"127.0.0.1:{free_port()}"
    with Sandbox() as sandbox:
        sandbox.start(
            Program(
                name="pushgateway",
                # Debian keeps what was pushed in a file of the whole system, unless told otherwise.
                argv=[PROGRAM, f"--web.listen-address={address}", "--persistence.file="],
                env=sandbox.environment(),
                ready=answers_at(f"http://{address}/-/ready"),
            )
        )
        yield address


class Process:
    """A process with meters that ends at a gateway."""

    def __init__(self, address: str, **settings: float) -> None:
        patient = Settings(pushgateway=address, exit_timeout=30)  # as a busy machine needs it
        reader, self.push = pushgateway.build(replace(patient, **settings))  # type: ignore[arg-type]  # its numbers
        self.provider = MeterProvider([reader], shutdown_on_exit=False)
        meter = self.provider.get_meter("test")
        self.instruments = Instruments(lambda: meter)

    def run(self, run: Run = FLOW) -> None:
        """Run a flow that does nothing, in a context of its own."""
        contextvars.Context().run(self._run, run)

    def _run(self, run: Run) -> None:
        watch = MeterObserver(self.instruments).started(run)
        watch.resumed()
        watch.ended(None)
        watch.suspended()


def held(address: str, **labels: str) -> dict[str, float]:
    """Return the samples that a gateway has with these labels, `_bucket`s left out."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    return {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if labels.items() <= sample.labels.items() and not sample.name.endswith("_bucket")
    }


@needs_gateway
def test_gateway_has_each_metric_under_its_documented_name(gateway: str) -> None:
    """No suffix is added to a name that has it, and one that is missing is added."""
    process = Process(gateway)
    flow = replace(FLOW, flow="names")
    process.run(flow)
    for each in ALL:
        labels = dict.fromkeys(each.labels, "x")
        if each.kind == "gauge":
            process.instruments.observe(each, lambda labels=labels: [(1.0, labels)])  # type: ignore[misc]  # bound now
        else:
            process.instruments.record(each, 1, labels)
    process.instruments.record(Definition("shop_load", "histogram", "s", "", (), DURATIONS), 1, {})
    process.instruments.record(Definition("shop_sales", "counter", "By", ""), 1, {})

    assert process.push()
    names = {f"{each.name}_count" if each.kind == "histogram" else each.name for each in ALL} | {
        "shop_load_seconds_count",
        "shop_sales_bytes_total",
    }
    found = {
        name
        for name in held(gateway, **GROUP, root_flow="names")
        if not name.endswith(("_sum", "_created")) and not name.startswith("push_")
    }
    assert names == found


@needs_gateway
def test_runs_of_a_flow_replace_each_other(gateway: str) -> None:
    """What only the run before had is gone: there is nothing that piles up."""
    flow = replace(FLOW, flow="nightly load/extract")
    first, second = Process(gateway), Process(gateway)
    for process in (first, second):
        process.run(flow)
    first.instruments.record(ORDERS, 5, {"shop": "berlin"})
    second.instruments.record(ORDERS, 2, {"shop": "rome"})
    labels = {**GROUP, "root_flow": flow.flow}

    assert first.push()
    assert 5 == held(gateway, **labels, shop="berlin")["shop_orders_total"]
    assert second.push()
    assert 2 == held(gateway, **labels, shop="rome")["shop_orders_total"]
    assert {} == held(gateway, **labels, shop="berlin")


@needs_gateway
def test_flows_deployments_and_tasks_of_other_processes_have_groups(gateway: str) -> None:
    """One flow's run does not replace another's, nor a task in a pool's process its flow's."""
    runs = (
        replace(FLOW, flow="grouped"),
        replace(FLOW, flow="grouped", deployment="nightly"),
        replace(FLOW, flow="grouped", kind="task", task="load"),
        replace(FLOW, flow="grouped too"),
    )
    for run in runs:
        process = Process(gateway)
        process.run(run)
        assert process.push()

    for run in runs:
        labels = {
            "root_flow": run.flow,
            "root_task": run.task,
            "root_deployment": run.deployment,
            "flow": run.flow,
        }
        assert 1 == held(gateway, **labels)["prefect_sdk_process_peak_memory_bytes_count"]


@needs_gateway
def test_group_is_deleted_as_the_page_says(gateway: str) -> None:
    """A group that nobody pushes any more goes by one request."""
    process = Process(gateway)
    process.run(replace(FLOW, flow="etl", deployment="nightly"))
    assert process.push()
    labels = {**GROUP, "root_flow": "etl", "root_deployment": "nightly"}
    assert held(gateway, **labels)
    (path,) = re.findall(r"curl -X DELETE http://pushgateway:9091(\S+?)`", PAGE.read_text())
    request = urllib.request.Request(f"http://{gateway}{path}", method="DELETE")
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - our own gateway
    deadline = time.monotonic() + 5
    while held(gateway, **labels) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert {} == held(gateway, **labels)


@needs_gateway
def test_process_without_runs_pushes_what_it_has(
    gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing if it has nothing, so that a worker does not leave an empty group."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "worker")
    idle, busy = Process(gateway), Process(gateway)
    empty = {**GROUP, "job": "worker", "root_flow": ""}

    assert idle.push()
    assert {} == held(gateway, **empty)
    busy.instruments.record(ORDERS, 1, {})
    assert busy.push()
    assert 1 == held(gateway, **empty)["shop_orders_total"]


@needs_gateway
def test_two_meters_with_one_name_do_not_spoil_the_push(gateway: str) -> None:
    """A gateway refuses all of a push with a metric that is there twice; the first one stays."""
    process = Process(gateway)
    process.run(replace(FLOW, flow="doubled"))
    process.instruments.record(ATTEMPTS, 1, dict.fromkeys(ATTEMPTS.labels, "x"))
    other = process.provider.get_meter("other")
    other.create_counter("prefect.sdk.attempts", description="Another.").add(7, {"flow": "x"})
    other.create_histogram("prefect_sdk_attempts", description="A third.").record(7)

    assert process.push()
    assert "prefect_sdk_attempts_total" in held(gateway, **GROUP, root_flow="doubled")


@needs_gateway
def test_job_is_the_service(gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in traces."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop/etl")
    process = Process(f"http://{gateway}/")
    process.run(FLOW)

    assert process.push()
    assert held(gateway, job="shop/etl", root_flow=FLOW.flow)


RUNS = """
from metered_flows import pooled
pooled()
"""


@needs_gateway
@pytest.mark.real
@pytest.mark.timeout(300)
def test_processes_of_real_runs_push_at_their_ends(gateway: str, scene: Scene) -> None:
    """The flow's process and the one of its task each have a group, without a line of code."""
    env = scene.sandbox.prefect_environment(
        "pushed",
        **scene.server.client_environment,
        PYTHONPATH=str(TESTS),
        OTEL_TRACES_EXPORTER="none",
        PREFECT_PLUGINS_ENABLED="1",
        PREFECT_INSTRUMENTATION_PUSHGATEWAY=gateway,
        PREFECT_INSTRUMENTATION_EXIT_TIMEOUT="30s",
    )
    process = scene.start("pushed", [sys.executable, "-c", RUNS], env)
    wait_until(lambda: not process.running, within=200, what="the end of the flow")
    assert process.wait() == 0, process.log_tail()
    log = process.log_tail(1000)
    groups = {"root_flow": "pooled", "root_deployment": "", "flow": "pooled"}
    flow = held(gateway, **groups, root_task="", task="")
    task = held(gateway, **groups, root_task="move", task="move")

    assert (1, 1) == (flow["prefect_sdk_attempts_total"], task["prefect_sdk_attempts_total"])
    assert 5 == task["prefect_sdk_io_records_total"]
    assert {} == held(gateway, root_flow="", flow="pooled"), "a push before the run's end"
    assert "Telemetry is incomplete" not in log


@dataclass
class Request:
    """What an odd gateway was asked."""

    path: str
    authorization: str


@contextmanager
def answering(status: int, reason: str = "no") -> Iterator[tuple[str, list[Request]]]:
    """Serve one answer to all, and give the address and what was asked."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            """Answer."""
            asked.append(Request(self.path, self.headers.get("Authorization", "")))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status, reason)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Be silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_credentials_go_to_the_gateway_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    """They are in a header, not in the request's path, and of a refusal no line has them."""
    with answering(401, "wrong") as (address, asked):
        process = Process(f"http://shop:p%40ss-w0rd@{address}")
        process.run()
        assert not process.push()
    (request,) = asked
    (line,) = [record.getMessage() for record in caplog.records if "Pushgateway" in record.msg]

    assert f"Basic {base64.b64encode(b'shop:p@ss-w0rd').decode()}" == request.authorization
    assert "ss" not in request.path.replace("process", "")
    assert f"The Pushgateway at http://{address} has not taken" in line
    assert "401" in line
    assert "w0rd" not in caplog.text


@pytest.mark.parametrize("status", [301, 307, 400, 413, 500])
def test_refusal_is_told_once(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is another address asked, to which a gateway may point."""
    with answering(status, "bad \x1b[31m" + "x" * 5000) as (address, asked):
        process = Process(address)
        process.run()

        assert [False, False] == [process.push(), process.push()]
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    assert 2 == len(asked)
    assert 1 == len(lines)
    assert "\x1b" not in lines[0]
    assert len(lines[0]) < 500


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, and do something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                opened.append(connection)
                answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in opened:
            connection.close()


def test_gateway_that_hangs_costs_the_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever never answers is given up on."""
    with listening(lambda _: None) as address:
        process = Process(address, exit_timeout=0.2)
        process.run()
        start = time.monotonic()
        assert not process.push()

    assert time.monotonic() - start < 10
    assert "has not taken the metrics" in caplog.text


def test_gateway_that_is_not_there_costs_nothing() -> None:
    """A refused connection is known at once."""
    process = Process(f"127.0.0.1:{free_port()}", exit_timeout=60)
    process.run()
    start = time.monotonic()

    assert not process.push()
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "address",
    [
        "ftp://gateway:9091",
        "http://",
        "http://:9091",
        "http://gateway:port",
        "http://gateway:99999",
        "http://[::1",
        "http://gateway:9091?token=hunter2",
        "http://user:hunter2@",
        "://",
    ],
)
def test_what_is_no_address_is_refused_without_being_said(address: str) -> None:
    """It may be a password that stands in the wrong variable."""
    with pytest.raises(ValueError, match="PUSHGATEWAY is not an address such as") as caught:
        pushgateway.build(Settings(pushgateway=address))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
