"""Prefect's plugin system finds the plugin, and the ways in do not disturb one another."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect._internal.plugins.manager import build_manager, load_entry_point_plugins
from prefect.plugins import HookSpec

from exporting import run, variables
from otlp_receiver import OtlpReceiver

ENABLED = {"PREFECT_PLUGINS_ENABLED": "1"}
NAME = "prefect_instrumentation"

ENGINES = """
import sys
import prefect, prefect.flow_engine, prefect.task_engine

def depth(function):
    inner = getattr(function, "__wrapped__", None)
    return 1 + depth(inner) if inner else 0

def wrappings():
    # Prefect's own are context managers, which wrap a generator function.
    return {
        depth(engine.initialize_run) - 1
        for engine in (
            prefect.flow_engine.FlowRunEngine,
            prefect.flow_engine.AsyncFlowRunEngine,
            prefect.task_engine.SyncTaskRunEngine,
            prefect.task_engine.AsyncTaskRunEngine,
        )
    }

def loaded(*names):
    return [name for name in names if name in sys.modules]
"""
DEAR = '"opentelemetry.sdk", "opentelemetry.exporter", "grpc", "requests"'
RUN = """
from prefect import task

@task
def load(records):
    return records + 1

print(load(1))
"""
WAYS = {
    "plugin": "import prefect",
    "setup": "import prefect_instrumentation; prefect_instrumentation.setup()",
    "instrumentor": (
        "from prefect_instrumentation import PrefectInstrumentor;PrefectInstrumentor().instrument()"
    ),
}


class _Api(BaseHTTPRequestHandler):
    """As much of Prefect's API as a task outside of any flow asks for."""

    def do_GET(self) -> None:
        """Answer; what is left unread would have the client's connection reset."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'"3.8.8"' if self.path.endswith("/admin/version") else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the base class wants it so

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module", name="receiver")
def _receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module", name="api")
def _api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="environ")
def _environ(receiver: OtlpReceiver, api: str, tmp_path: Path) -> dict[str, str]:
    """Return variables that lead runs to the API and spans to the receiver."""
    receiver.clear()
    return {
        **variables(receiver, "http/protobuf"),
        # What a busy machine needs for all to arrive.
        "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30",
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_INSTRUMENTATION_LOGS": "none",
    }


def test_plugin_manager_takes_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    """Prefect's manager loads the plugin by its entry point, and knows its only hook."""
    manager = build_manager(HookSpec)
    with caplog.at_level(logging.INFO):
        load_entry_point_plugins(manager, allow={NAME}, deny=None, logger=logging.getLogger())
    manager.check_pending()

    assert [NAME] == [name for name, _ in manager.list_name_plugin()]
    assert [NAME] == [each.plugin_name for each in manager.hook.setup_environment.get_hookimpls()]
    assert "" == caplog.text


def test_enabled_plugin_instruments_all_engines() -> None:
    """`import prefect` suffices, and brings nothing that only runs need."""
    process = run(f"print(wrappings(), loaded({DEAR}))", ENABLED, prelude=ENGINES)

    assert (("{1} []",), ()) == (process.lines, process.complaints)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PREFECT_PLUGINS_ENABLED": "0"},
        {**ENABLED, "PREFECT_PLUGINS_DENY": NAME},
        {**ENABLED, "PREFECT_PLUGINS_ALLOW": "another"},
    ],
    ids=["unset", "off", "denied", "another"],
)
def test_plugin_that_is_not_wanted_costs_nothing(environ: dict[str, str]) -> None:
    """Without the user's word nothing of the package is imported, and Prefect is as it was."""
    process = run(f'print(wrappings(), loaded("{NAME}", {DEAR}))', environ, prelude=ENGINES)

    assert (("{0} []",), ()) == (process.lines, process.complaints)


def test_first_run_brings_the_sdk(environ: dict[str, str], receiver: OtlpReceiver) -> None:
    """Up to the first run there is none, and its span arrives all the same."""
    code = f"print(loaded({DEAR}))\n{RUN}\nprint(loaded({DEAR})[:2])"
    process = run(code, environ | ENABLED, prelude=ENGINES)

    assert ("[]", "2", "['opentelemetry.sdk', 'opentelemetry.exporter']") == process.lines
    assert ["task load"] == [span.name for span in receiver.spans()]


@pytest.mark.parametrize("order", list(itertools.permutations(WAYS)), ids="-".join)
def test_ways_in_meet(
    order: tuple[str, ...], environ: dict[str, str], receiver: OtlpReceiver
) -> None:
    """All three in any order wrap each engine once, and a run has one span."""
    steps = "\n".join(WAYS[way] for way in order)
    process = run(
        f"{RUN}\nprint(wrappings())", environ | ENABLED, prelude=f"{steps}\n{steps}\n{ENGINES}"
    )

    assert ("2", "{1}") == process.lines
    assert ["task load"] == [span.name for span in receiver.spans()]
    assert {NAME} == {span.scope for span in receiver.spans()}


@pytest.mark.parametrize("way", ["setup", "PrefectInstrumentor().instrument"])
def test_given_provider_makes_the_spans(
    way: str, environ: dict[str, str], receiver: OtlpReceiver
) -> None:
    """It does so though the plugin has been here before, and meant the global one."""
    code = f"""
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prefect_instrumentation import PrefectInstrumentor, setup

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
{way}(tracer_provider=provider)
{RUN}
print(wrappings(), [span.name for span in exporter.get_finished_spans()])
"""
    process = run(code, environ | ENABLED, prelude=ENGINES)

    assert ("2", "{1} ['task load']") == process.lines
    assert () == tuple(receiver.spans())


def test_uninstrumented_process_makes_no_spans(
    environ: dict[str, str], receiver: OtlpReceiver
) -> None:
    """Whoever takes the package out again has Prefect as it was."""
    code = f"""
from prefect_instrumentation import PrefectInstrumentor
PrefectInstrumentor().instrument()
PrefectInstrumentor().uninstrument()
{RUN}
print(wrappings())
"""
    process = run(code, environ | ENABLED, prelude=ENGINES)

    assert ("2", "{0}") == process.lines
    assert () == tuple(receiver.spans())
