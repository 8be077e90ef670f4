"""What runs use, by a real Prometheus, and what is made of it."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from prefect_exporter.report import usage as usages
from prefect_exporter.report.question import Period
from prefect_exporter.report.usage import Name, Unusable, Usage, read_usage
from prefect_instrumentation._meters.definitions import PEAK_MEMORY, PROCESS_CPU, SIZES
from report.histories import Grown, Past, prometheus
from report.worlds import workspace

GIB, MIB = 2**30, 2**20
START_DELAY = "prefect_flow_run_start_delay_seconds"
DELAYS = (1.0, 5.0, 30.0, 60.0)


def past() -> Past:
    """Return a past with one of each case."""
    made = Past()
    memory, cpu = PEAK_MEMORY.name, PROCESS_CPU.name

    def name(flow: str, deployment: str = "nightly", task: str = "") -> dict[str, str]:
        return {"flow": flow, "task": task, "deployment": deployment}

    made.histogram(memory, name("small"), [300 * MIB] * 18 + [400 * MIB] * 2, SIZES)
    made.histogram(memory, name("was-large"), [300 * MIB] * 12, SIZES, old=[8 * GIB] * 100)
    made.histogram(memory, name("large"), [990 * MIB] * 10 + [1100 * MIB] * 10, SIZES)
    made.histogram(memory, name("idle"), [], SIZES, old=[300 * MIB] * 5)
    made.histogram(memory, name("giant", ""), [500 * GIB] * 3, SIZES)
    made.series += [
        Grown(cpu, name("small"), 900.0, 300.0),
        # A flow that ran for the first time three days ago, and whose series ended since.
        Grown(cpu, name("new"), 50.0, None, since_hours=72, until_hours=46),
        Grown(cpu, name("spread"), 10.0),
        Grown(cpu, name("spread", task="train"), 500.0),
    ]
    labels = {"target": "default", "work_pool": 'it"s', "work_queue": "default"}
    made.histogram(START_DELAY, labels, [0.5] * 10 + [20.0] * 10, DELAYS)
    other = {**labels, "target": "other", "work_pool": "elsewhere"}
    made.histogram(START_DELAY, other, [0.5] * 10, DELAYS)
    return made


@pytest.fixture(scope="module", name="url")
def _url() -> Iterator[str]:
    with prometheus(past()) as url:
        yield url


@pytest.fixture(scope="module", name="usage")
def _usage(url: str) -> Usage:
    with workspace() as world:
        return asyncio.run(read_usage(url, world.workspace))


def test_peaks_are_those_of_the_period(usage: Usage) -> None:
    """Mean and bounds are of the runs of the period; what was larger before it is forgotten."""
    small, was_large = (usage.memory[Name(flow, "nightly")] for flow in ("small", "was-large"))

    assert small.runs == pytest.approx(20, rel=0.02)
    assert small.mean == pytest.approx(310 * MIB, rel=0.02)
    assert (small.at_least, small.at_most) == (256 * MIB, 512 * MIB)
    assert was_large.runs == pytest.approx(12, rel=0.02)
    assert was_large.at_most == 512 * MIB


def test_highest_peak_is_in_its_bucket(usage: Usage) -> None:
    """The highest peak is known by its bucket; beyond the last one it is open."""
    large, giant = usage.memory[Name("large", "nightly")], usage.memory[Name("giant", "")]

    assert (large.at_least, large.at_most) == (GIB, 2 * GIB)
    assert (giant.at_least, giant.at_most) == (256 * GIB, float("inf"))


def test_flow_that_did_not_run_is_not_there(usage: Usage) -> None:
    """Runs of last month say nothing of this week."""
    assert Name("idle", "nightly") not in usage.memory


def test_cpu_is_what_was_added_in_the_period(usage: Usage) -> None:
    """A series that is new counts whole, also if it has ended; an old one by its growth."""
    assert usage.cpu_seconds[Name("small", "nightly")] == pytest.approx(600, rel=0.02)
    assert usage.cpu_seconds[Name("new", "nightly")] == 50


def test_flows_with_processes_of_tasks_are_marked(usage: Usage) -> None:
    """Their flow's process is not the whole of it."""
    assert usage.spread == {Name("spread", "nightly")}


def test_start_delays_are_of_this_target(usage: Usage) -> None:
    """Another target's pools are not in it; names may hold anything."""
    assert set(usage.start_delays) == {'it"s'}
    delay = usage.start_delays['it"s']
    assert delay == pytest.approx((1, 27.5), rel=0.05)


def test_short_period_asks_for_itself_alone(url: str) -> None:
    """Of the last day only what grew in it."""
    with workspace() as world:
        period = world.question.period
        day = Period(period.until_us - 20 * 3600 * 1_000_000, period.until_us)
        world.question = replace(world.question, period=day)
        usage = asyncio.run(read_usage(url, world.workspace))

    assert usage.memory == {}


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to everything; tell the credentials that came."""
    credentials: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            credentials.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/prometheus/", credentials
        finally:
            server.shutdown()
            thread.join()


NOTHING = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        (None, ""),
        ("Bearer abc.def\n", "Bearer abc.def"),
        ("ann:se:cret", "Basic YW5uOnNlOmNyZXQ="),
    ],
)
def test_credentials_go_into_the_header(secret: str | None, header: str) -> None:
    """A token goes as it is; a password may hold a colon."""
    with workspace() as world, _answering(200, NOTHING) as (url, credentials):
        auth = SecretStr(secret) if secret else None
        usage = asyncio.run(read_usage(url, world.workspace, auth))

    assert usage == Usage()
    assert set(credentials) == {header}


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>login</html>", "does not answer as Prometheus does: 200"),
        (401, b"Unauthorized", "does not answer as Prometheus does: 401"),
        (200, b"\xff\xfe", "does not answer as Prometheus does: 200"),
        (200, b'{"status": "success", "data": {"result": [[1, 2]]}}', "as Prometheus does"),
        (422, b'{"status": "error", "error": "too many samples"}', "refused: too many samples"),
        (200, b'{"more": ' + b"[" * 100_000, "does not answer as Prometheus does: 200"),
        (200, b'{"status": "error", "error": "\\u009b2J\\nx"}', r"refused: \\x9b2J\\nx$"),
    ],
)
def test_other_answers_are_told_in_a_sentence(status: int, body: bytes, message: str) -> None:
    """Whatever answers there, the report's user reads why it is of no use."""
    with (
        workspace() as world,
        _answering(status, body) as (url, _),
        pytest.raises(Unusable, match=message),
    ):
        asyncio.run(read_usage(url, world.workspace))


def test_numbers_that_are_none_are_left_out() -> None:
    """NaN and words in place of numbers give no series."""
    sample = {"metric": {"flow": "a", "deployment": "b"}, "value": [1, "NaN"]}
    odd = {"metric": {"flow": "c"}, "value": [1, "many"]}
    body = json.dumps({"status": "success", "data": {"result": [sample, odd]}}).encode()
    with workspace() as world, _answering(200, body) as (url, _):
        assert asyncio.run(read_usage(url, world.workspace)) == Usage()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://ann:secret@127.0.0.1:9090", "holds credentials"),
        ("127.0.0.1:9090", "not an http"),
        ("ftp://prometheus", "not an http"),
        ("http://[::1", "is none"),
        ("http://a\x00b", "is none"),
        ("http://127.0.0.1:1/?token=secret", "leave out"),
        ("http://127.0.0.1:1", "did not answer"),
    ],
)
def test_addresses_that_are_none(url: str, message: str) -> None:
    """A password in the address is refused, and never repeated."""
    with workspace() as world, pytest.raises(Unusable, match=message) as refused:
        asyncio.run(read_usage(url, world.workspace))

    assert "secret" not in str(refused.value)


def test_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no Prometheus may send anything; it is not kept in memory."""
    monkeypatch.setattr(usages, "MOST_BYTES", 10)
    with (
        workspace() as world,
        _answering(200, NOTHING) as (url, _),
        pytest.raises(Unusable, match="more than 10 bytes"),
    ):
        asyncio.run(read_usage(url, world.workspace))


def test_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece may come in time, and the whole never would."""

    async def trickles(_self: object, _data: object) -> tuple[int, bytes]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(usages, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr("prefect_exporter.report.usage._Asking._post", trickles)
    with workspace() as world, pytest.raises(Unusable, match="did not answer in"):
        asyncio.run(read_usage("http://127.0.0.1:1", world.workspace))


@pytest.mark.parametrize(
    "secret", ["Bearer hush\r\nX: y", "Bearer hush\nmore", "Bearer hush\u00e9"]
)
def test_token_that_no_header_can_hold_is_not_repeated(secret: str) -> None:
    """The library's own error quotes it."""
    with workspace() as world, pytest.raises(Unusable, match="one line of ASCII") as refused:
        asyncio.run(read_usage("http://127.0.0.1:1", world.workspace, SecretStr(secret)))

    assert "hush" not in str(refused.value)


def test_credentials_of_no_kind_are_not_repeated() -> None:
    """What the file held stays out of the message."""
    with workspace() as world, pytest.raises(Unusable, match="neither") as refused:
        asyncio.run(read_usage("http://127.0.0.1:1", world.workspace, SecretStr("hush")))

    assert "hush" not in str(refused.value)
