"""What is done for the spans of a run whose process a signal is about to end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from types import SimpleNamespace
from typing import Any

import prefect
import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_instrumentation import _settings
from prefect_instrumentation._prefect.ending import MARK_TIMEOUT, flush_before_kill
from prefect_instrumentation._propagation import SPAN_ENDED
from prefect_instrumentation._settings import Settings

NOISE = 5.0
"""Seconds by which a busy machine may be late; Prefect's client would wait for a minute."""

RUN_ID = "7f0e1c52-6f0e-4a5e-9d0b-0c1d2e3f4a5b"
PATH = f"/api/flow_runs/{RUN_ID}/labels"


class Api(ThreadingHTTPServer):
    """As much of Prefect's API as stores labels.

    Args:
        status: of the answer to them.
    """

    daemon_threads = True

    def __init__(self, status: int = 204) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.stored: Queue[tuple[str, object]] = Queue()
        self.answering = threading.Event()
        self.answering.set()


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        """Tell the version; there are no tokens against forged requests."""
        self._answer(200 if self.path.endswith("/admin/version") else 404)

    def do_PATCH(self) -> None:
        """Keep the labels, and answer when it is time."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.stored.put((self.path, json.loads(body)))
        self.server.answering.wait(60)
        self._answer(self.server.status)

    def _answer(self, status: int) -> None:
        body = b"" if status == 204 else json.dumps(prefect.__version__).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(status: int = 204) -> Iterator[Api]:
    """Be the Prefect server of this context; whoever asked has an answer afterwards."""
    before = set(threading.enumerate())
    with Api(status) as api:
        thread = threading.Thread(target=api.serve_forever, args=(0.05,))
        thread.start()
        try:
            with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{api.server_port}/api"}):
                yield api
        finally:
            api.answering.set()
            for asking in set(threading.enumerate()) - before - {thread}:
                asking.join(20)
            api.shutdown()
            thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    """Return a server that stores labels."""
    with serving() as api:
        yield api


class Collector:
    """Stands in for the observer, whose spans arrive or do not."""

    def __init__(self, *, arrives: bool) -> None:
        self.arrives = arrives
        self.flushed = 0

    def flush(self) -> bool:
        """Return whether they have."""
        self.flushed += 1
        return self.arrives


def flush(collector: Collector, state: StateType) -> None:
    """Flush for a flow run in that state."""
    engine = SimpleNamespace(flow_run=SimpleNamespace(id=RUN_ID, state=State(type=state)))
    observer: Any = collector
    flush_before_kill(observer, engine)


@pytest.mark.parametrize("state", [StateType.RUNNING, StateType.CANCELLING])
def test_label_says_that_the_span_has_arrived(api: Api, state: StateType) -> None:
    """A runner that sets the run's last state then knows that it need not make the span."""
    flush(Collector(arrives=True), state)

    assert (PATH, {SPAN_ENDED: "true"}) == api.stored.get(timeout=20)


@pytest.mark.parametrize(
    ("arrives", "state"),
    [
        (False, StateType.RUNNING),
        (False, StateType.CRASHED),
        (True, StateType.CRASHED),
        (True, StateType.COMPLETED),
    ],
)
def test_no_label_where_it_would_be_untrue_or_of_no_use(
    api: Api, state: StateType, *, arrives: bool
) -> None:
    """Spans that did not arrive are not claimed; after a final state no runner asks."""
    collector = Collector(arrives=arrives)
    flush(collector, state)

    assert 1 == collector.flushed
    assert api.stored.empty()


def test_silent_server_holds_nobody(api: Api) -> None:
    """The runner kills the process soon after the signal, label or no label."""
    api.answering.clear()
    before = time.monotonic()
    flush(Collector(arrives=True), StateType.RUNNING)

    assert time.monotonic() - before < MARK_TIMEOUT + NOISE


def test_whoever_waits_long_for_spans_waits_for_their_label(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy server would not know of them, and they would be made a second time."""
    monkeypatch.setattr(_settings, "current", lambda: Settings(exit_timeout=60.0))
    api.answering.clear()
    late = threading.Timer(2 * MARK_TIMEOUT, api.answering.set)
    late.start()
    flush(Collector(arrives=True), StateType.RUNNING)
    is_answered = api.answering.is_set()
    late.join()

    assert is_answered


def test_label_that_is_refused_does_no_harm() -> None:
    """The process ends as it would have."""
    with serving(500) as api:
        flush(Collector(arrives=True), StateType.RUNNING)

        assert (PATH, {SPAN_ENDED: "true"}) == api.stored.get(timeout=20)
