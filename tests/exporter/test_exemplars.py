"""Exemplars: from the trace that a flow run carries to the one that Prometheus shows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from demo.api import ask, change
from demo.exporter import Exporter, start_exporter
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Program, answers_at, free_port, wait_until
from demo.prometheus import PrometheusConfig
from demo.sandbox import Sandbox, find_program
from fakes import START_US, FakePrefect
from fronts import plain
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector
from prefect_exporter.exposition import FamilyLines, assemble
from prefect_exporter.facts import Add, Change, Exemplar, Fact, Series
from prefect_exporter.moments import SECOND
from prefect_exporter.traces import Trace, trace_of
from prefect_exporter.wire import FlowRun
from worlds import collecting, ended, poll, prefect_of, put

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
TRACEPARENT = f"00-{TRACE.trace_id}-{TRACE.span_id}-01"
DURATION = "prefect_flow_run_duration_seconds"

HOSTILE = (
    "",
    "00",
    TRACEPARENT[:-1],
    TRACEPARENT + "0",
    TRACEPARENT + "-ff",
    TRACEPARENT.upper(),
    TRACEPARENT + "\n",
    "\n" + TRACEPARENT,
    TRACEPARENT.replace("4", "\u0664"),
    TRACEPARENT.replace("4", "\uff14"),
    TRACEPARENT.replace("4bf", '"}\n'),
    "01" + TRACEPARENT[2:],
    "ff" + TRACEPARENT[2:],
    f"00-{'0' * 32}-{TRACE.span_id}-01",
    f"00-{TRACE.trace_id}-{'0' * 16}-01",
    "0" * 1_000_000,
    TRACEPARENT * 20_000,
)
NO_LABELS: tuple[bytes, ...] = (
    b"null",
    b"{}",
    b"[]",
    b"7",
    b'"__OTEL_TRACEPARENT"',
    b'{"__OTEL_TRACEPARENT":null}',
    b'{"__OTEL_TRACEPARENT":7}',
    b'{"__OTEL_TRACEPARENT":1e999}',
    b'{"__OTEL_TRACEPARENT":true}',
    b'{"__OTEL_TRACEPARENT":["00"]}',
    b'{"__OTEL_TRACEPARENT":"\xff"}',
    b'{"other":' + b"9" * 5000 + b"}",
    b'{"other":' + b"[" * 500 + b"]" * 500 + b"}",
)


def labels_of(traceparent: object) -> msgspec.Raw:
    """Return a flow run's labels with this traceparent, and one of the user's."""
    labels = {"team": "payments", "__OTEL_TRACEPARENT": traceparent}
    return msgspec.Raw(msgspec.json.encode(labels))


@pytest.mark.parametrize("flags", ["00", "01", "03", "ff"])
def test_traceparent_is_read(flags: str) -> None:
    """Both ids come out of a traceparent, sampled or not."""
    assert trace_of(f"00-{TRACE.trace_id}-{TRACE.span_id}-{flags}") == TRACE


@pytest.mark.parametrize("traceparent", HOSTILE, ids=range(len(HOSTILE)))
def test_bad_traceparent_names_no_trace(traceparent: str) -> None:
    """What is not exactly a traceparent names no trace."""
    assert trace_of(traceparent) is None


@pytest.mark.parametrize("labels", NO_LABELS, ids=range(len(NO_LABELS)))
def test_odd_labels_leave_the_page_readable(labels: bytes) -> None:
    """Whatever a run's labels hold, its row and the others of the page are read."""
    row = msgspec.json.encode(ended(1, 5))
    odd = row.replace(b'"labels":null', b'"labels":' + labels)
    page = b"[%b,%b]" % (odd, msgspec.json.encode(ended(2, 6, labels=labels_of(TRACEPARENT))))

    rows = msgspec.json.decode(page, type=list[FlowRun])
    assert [None, TRACEPARENT] == [each.traceparent for each in rows]
    assert ended(1, 5).id == rows[0].id


def test_row_does_not_keep_its_answer() -> None:
    """The bytes of a whole page are let go, however long one of its rows is kept."""
    page = msgspec.json.encode([ended(1, 5, labels=labels_of(TRACEPARENT))])
    before = sys.getrefcount(page)
    rows = msgspec.json.decode(page, type=list[FlowRun])

    assert (before, TRACEPARENT) == (sys.getrefcount(page), rows[0].traceparent)


def test_row_without_labels_is_read() -> None:
    """A server that sends no labels sends a row like any other."""
    row = msgspec.json.encode(ended(1, 5)).replace(b',"labels":null', b"")

    assert msgspec.json.decode(row, type=FlowRun) == ended(1, 5)


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        poll(FlowRunCollector(context.settings), context)
        yield context


def page_of(context: Context) -> str:
    """Return the counted families as OpenMetrics, with nothing held."""
    tally = context.store.ledger.tally
    context.store.ledger.release(list(tally.held))
    tally.change_all()
    families = [FamilyLines(family).update(tally) for family in tally.families.values()]
    return plain(assemble(1, families).openmetrics).decode()


def examples(context: Context) -> dict[str, Sample]:
    """Return the samples that have an exemplar, by their name."""
    families = text_string_to_metric_families(page_of(context))  # type: ignore[no-untyped-call]  # theirs
    samples = [sample for family in families for sample in family.samples if sample.exemplar]
    return {sample.name: sample for sample in samples}


def count(prefect: FakePrefect, context: Context, *rows: FlowRun) -> None:
    """Let runs end, and poll."""
    put(prefect, *rows)
    prefect.now_us = START_US + 60 * SECOND
    poll(FlowRunCollector(context.settings), context)


@pytest.mark.parametrize("state_type", ["FAILED", "CRASHED"])
def test_failure_carries_its_trace(prefect: FakePrefect, context: Context, state_type: str) -> None:
    """The failure's count and its duration's bucket show the trace, the value and the end."""
    row = ended(1, 7, state_type, total_run_time=2.5, labels=labels_of(TRACEPARENT))
    count(prefect, context, row)
    shown = examples(context)

    assert {FINISHED.name, f"{DURATION}_bucket"} == shown.keys()
    for name, value in ((FINISHED.name, 1.0), (f"{DURATION}_bucket", 2.5)):
        exemplar = shown[name].exemplar
        assert exemplar is not None
        assert TRACE._asdict() == exemplar.labels
        assert (value, START_US / SECOND + 7) == (exemplar.value, float(exemplar.timestamp or 0))
    assert state_type.lower() == shown[FINISHED.name].labels["outcome"]


def test_success_shows_its_duration_alone(prefect: FakePrefect, context: Context) -> None:
    """A run that went well is an example of a duration, not of a failure."""
    count(prefect, context, ended(1, 7, labels=labels_of(TRACEPARENT)))

    assert {f"{DURATION}_bucket"} == examples(context).keys()


def test_cancelled_run_is_no_example(prefect: FakePrefect, context: Context) -> None:
    """A cancelled run has neither a duration nor a failure to show."""
    count(prefect, context, ended(1, 7, "CANCELLED", labels=labels_of(TRACEPARENT)))

    assert {} == examples(context)


def test_hostile_labels_count_as_any(prefect: FakePrefect, context: Context) -> None:
    """Runs with bad labels are counted without an example, and the page stays readable."""
    labels = [*map(labels_of, HOSTILE), *map(msgspec.Raw, NO_LABELS)]
    rows = [ended(n, 7, "FAILED", labels=each) for n, each in enumerate(labels)]
    count(prefect, context, *rows)

    assert {} == examples(context)
    assert f" {float(len(labels))}\n" in page_of(context)


def test_end_in_the_future_is_an_example_of_now(prefect: FakePrefect, context: Context) -> None:
    """A client's clock that runs ahead does not make the examples after it look old."""
    row = ended(1, 3600, labels=labels_of(TRACEPARENT))
    count(prefect, context, row)
    exemplar = examples(context)[f"{DURATION}_bucket"].exemplar

    assert exemplar is not None
    assert START_US / SECOND + 60 == float(exemplar.timestamp or 0)


def test_known_end_adds_no_example(prefect: FakePrefect, context: Context) -> None:
    """A row that is read again is not counted again, so its new labels show nothing."""
    count(prefect, context, ended(1, 7, "FAILED"))
    count(prefect, context, ended(1, 7, "FAILED", labels=labels_of(TRACEPARENT)))

    assert {} == examples(context)


def test_restart_begins_without_examples(tmp_path: Path, prefect: FakePrefect) -> None:
    """Counts outlive the process, their examples do not."""
    with collecting(tmp_path, prefect) as context:
        poll(FlowRunCollector(context.settings), context)
        count(prefect, context, ended(1, 7, "FAILED", labels=labels_of(TRACEPARENT)))
    with collecting(tmp_path, prefect) as context:
        assert {} == examples(context)
        assert f'{FINISHED.name}{{deployment="",flow="etl",outcome="failed"' in page_of(context)


def test_failed_commit_leaves_no_example(context: Context) -> None:
    """What was not kept in the file is not shown as an example either."""
    series = Series(FINISHED.name, (context.target, "etl", "", "false", "failed"))
    fact = Fact(UUID(int=1), 5, (Add(series, exemplar=Exemplar(TRACE, 1.0, 5)),))
    unknown = Fact(UUID(int=2), 6, (Add(Series("unknown", (context.target,))),))
    ledger = context.store.ledger
    with pytest.raises(KeyError):
        ledger.commit(Change(context.target, "flow_runs", (fact, unknown)))
    ledger.commit(Change(context.target, "flow_runs", seeds=(series,)))

    assert {} == examples(context)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_prometheus_shows_the_trace_of_a_failure() -> None:
    """A flow run's trace, as Prefect has it, is found in Prometheus beside both its numbers."""
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox)
        exporter = start_exporter(
            sandbox,
            port=free_port(),
            PREFECT_EXPORTER_POLL_INTERVAL="1s",
            PREFECT_EXPORTER_HOLD="1s",
            **server.client_environment,
        )
        prometheus = start_prometheus_with_exemplars(sandbox, exporter)
        fail_a_run(server)
        found = {
            FINISHED.name: traces_of(prometheus, FINISHED.name),
            DURATION: traces_of(prometheus, f"{DURATION}_bucket"),
        }

    assert {FINISHED.name: [TRACE._asdict()], DURATION: [TRACE._asdict()]} == found


def start_prometheus_with_exemplars(sandbox: Sandbox, exporter: Exporter) -> str:
    """Start a Prometheus that keeps exemplars and scrapes each second; return its address."""
    command = find_program("prometheus")
    assert command is not None, "Prometheus is not installed: apt-get install prometheus"
    config = PrometheusConfig(targets={"exporter": exporter.address}, interval_seconds=1)
    file = sandbox.subfolder("prometheus") / "prometheus.yml"
    file.write_text(json.dumps(config.document()))
    address = f"127.0.0.1:{free_port()}"
    program = Program(
        name="prometheus",
        argv=[
            command,
            f"--config.file={file}",
            f"--storage.tsdb.path={file.parent / 'data'}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
        ],
        env=sandbox.environment(),
        ready=answers_at(f"http://{address}/-/ready"),
    )
    sandbox.start(program)
    return f"http://{address}"


def fail_a_run(server: PrefectServer) -> None:
    """Let a flow run with a trace, and labels that only its user understands, fail."""
    with server.client() as client:
        flow = ask(client, "/flows/", name="traced")["id"]
        run = ask(client, "/flow_runs/", flow_id=flow)["id"]
        labels = {"__OTEL_TRACEPARENT": TRACEPARENT, "cost": 1.5, "odd": '"}'}
        change(client, f"/flow_runs/{run}/labels", **labels)
        for state in ("PENDING", "RUNNING", "FAILED"):
            ask(client, f"/flow_runs/{run}/set_state", state={"type": state})


def traces_of(prometheus: str, metric: str) -> list[dict[str, str]]:
    """Wait until Prometheus has exemplars of *metric*; return the labels of each."""
    found: list[dict[str, str]] = []

    def ready() -> bool:
        query = {"query": metric, "start": "0", "end": str(time.time() + 60)}
        url = f"{prometheus}/api/v1/query_exemplars"
        answer = httpx.get(url, params=query, timeout=10, trust_env=False).raise_for_status()
        found[:] = [
            exemplar["labels"]
            for series in answer.json()["data"]
            for exemplar in series["exemplars"]
        ]
        return bool(found)

    wait_until(ready, within=60, what=f"an exemplar of {metric}")
    return found
