"""What the stack is for: the default profile beside a Prefect server that runs on the host."""

from __future__ import annotations

import pytest

from stack.asking import arrives, eventually, log_lines, query, spans, value
from stack.compose import Stack
from stack.host import Host, gateway

pytestmark = pytest.mark.stack

_FINISHED = 'prefect_flow_runs_finished_total{flow="steady", outcome="completed"}'


@pytest.fixture(name="mended", scope="module")
def _mended(beside: Stack, host: Host) -> Stack:
    """The same stack after the one change: the server listens where containers reach it."""
    assert value(beside, "prefect_server_up") != 1
    host.serve(gateway(beside))
    ids = host.work(beside)
    arrives(beside, "prefect_server_up == 1")
    for name in ("steady", "failing"):
        host.start_run(ids[name])
    return beside


def test_server_on_loopback_is_said_to_be_unreachable(beside: Stack) -> None:
    """A server that listens on 127.0.0.1 alone is out of reach: metrics and log say so."""
    arrives(beside, "prefect_server_up == 0")
    arrives(beside, 'probe_success{job="prefect-api-probe"} == 0')

    assert "prefect server start --host" in beside.container("exporter").log()


def test_server_is_up_after_one_change(mended: Stack) -> None:
    """Exporter and probe reach a server that listens on the bridge's address."""
    arrives(mended, 'probe_success{job="prefect-api-probe"} == 1')

    assert [1.0] == [sample.value for sample in query(mended, "prefect_server_up")]


def test_runs_are_counted(mended: Stack) -> None:
    """A finished run of the host's worker is in Prometheus."""
    arrives(mended, f"{_FINISHED} >= 1", within=150)


def test_runs_meter_themselves(mended: Stack) -> None:
    """What a run of the host's worker measured of itself is in Prometheus."""
    arrives(mended, 'prefect_sdk_attempts_total{flow="steady"} >= 1', within=150)


def test_spans_arrive(mended: Stack) -> None:
    """The collector has taken the spans of a run, and made metrics of them."""
    calls = 'traces_span_metrics_calls_total{span_name="flow steady"} >= 1'

    arrives(mended, calls, within=150)


def test_failed_trace_and_its_lines_are_kept(mended: Stack, *, full: bool) -> None:
    """A failed run is found in Jaeger and, by its trace id, in Loki."""
    if not full:
        pytest.skip("Jaeger and Loki run in the full form")
    lines = eventually(
        lambda: log_lines(mended, '| flow="failing" | trace_id!="" | detected_level="error"'),
        what="lines of the failing flow in Loki",
    )
    trace_id = lines[0][0]["trace_id"]

    found = eventually(lambda: spans(mended, trace_id), what=f"trace {trace_id} in Jaeger")

    assert "flow failing" in {span["name"] for span in found}


def test_database_that_nobody_named_is_said_to_be_left_out(mended: Stack) -> None:
    """Objects and volumes are kept beside a server; that its database is not, the metric says."""
    # Alertmanager writes what it knows every quarter of an hour, and when it ends.
    mended.compose("restart", "alertmanager")
    mended.compose("exec", "--no-TTY", "backup", "prefect-backup", "run", "--wait")

    arrives(mended, 'prefect_backup_configured{kind="database"} == 0')
    for kind in ("objects", "volumes"):
        arrives(mended, f'prefect_backup_last_run_success{{kind="{kind}"}} == 1')
    assert [] == query(mended, 'prefect_backup_last_run_success{kind="database"}')
