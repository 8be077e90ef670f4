"""A real collector forwards what the exporter exposes, by the files in deploy/otel-collector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from certificates import certificate
from collector.otlp import Backend, Buckets, Labels, Point, Sample, exposed
from collector.parts import DEPLOY, ROOT, Exporter, Prefect, collector, exporter
from collector.stack import AGENT, POD_LOGS, STACK
from demo.processes import free_port, wait_until

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PAGE = ROOT / "docs" / "without-prometheus.md"
METRICS = DEPLOY / "metrics.yaml"
# Polls once after its start, and then leaves its page as it is.
STILL = {
    "POLL_INTERVAL": "10m",
    "AUDIT_INTERVAL": "1h",
    "SLOW_INTERVAL": "1d",
    "STALE_AFTER": "1d",
}
DELTA = 1
CUMULATIVE = 2
FINISHED = "prefect_flow_runs_finished_total"
DURATION = "prefect_flow_run_duration_seconds"
OF_THE_SCRAPE = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}
# What counts since the process began; everything else is in the ledger.
OF_THE_PROCESS = ("process_", "prefect_exporter_", "prefect_server_")
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


@pytest.fixture(name="backend")
def _backend() -> Iterator[Backend]:
    """A backend that takes OTLP."""
    with Backend() as backend:
        yield backend


@pytest.fixture(name="server")
def _server() -> Iterator[Prefect]:
    """A recorded Prefect."""
    with Prefect() as server:
        yield server


def between(running: Exporter, backend: Backend) -> dict[str, str]:
    """Return the variables of a collector between the two."""
    return {
        "SCRAPE_ADDRESS": running.address,
        "SCRAPE_INTERVAL": "1s",
        "OTLP_ENDPOINT": backend.url,
        "OTLP_ENCODING": "json",
    }


def wait_for_completed(backend: Backend, number: int) -> None:
    """Wait until the backend has so many completions as the newest value."""
    wait_until(
        lambda: backend.value(FINISHED, outcome="completed", subflow="false") == number,
        within=60,
        what=f"{number} completions in the backend",
    )


def wait_for_series(backend: Backend) -> None:
    """Wait until the backend knows the deployment, and the exporter reads Prefect."""
    wait_for_completed(backend, 0)


def durations(last: dict[str, set[Sample]]) -> float:
    """Return how many runs' durations were observed; new series begin at 0."""
    observed = (each.value for each in last.get(DURATION, ()))
    return sum(value.count for value in observed if isinstance(value, Buckets))


def settled(running: Exporter, backend: Backend) -> tuple[set[Sample], dict[str, set[Sample]]]:
    """Return what is exposed and what arrived of one scrape, as soon as the two agree.

    Agree or not, it returns after a while: the test then shows where they differ.
    """
    seen: tuple[set[Sample], dict[str, set[Sample]]] = set(), {}

    def agree() -> bool:
        nonlocal seen
        seen = exposed(running.openmetrics()), backend.last()
        return seen[0] == samples(seen[1])

    with suppress(TimeoutError):
        wait_until(agree, within=60, what="agreement")
    return seen


def samples(last: dict[str, set[Sample]]) -> set[Sample]:
    """Return the samples without what the scrape itself says."""
    return {each for name, found in last.items() if name not in OF_THE_SCRAPE for each in found}


def test_every_sample_arrives_and_nothing_unnamed(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """Names, labels, values and buckets arrive as they are exposed; the page names the rest."""
    with (
        exporter(tmp_path, server.url) as running,
        collector(otelcol, tmp_path, METRICS, **between(running, backend)),
    ):
        wait_for_series(backend)
        for state in ("COMPLETED", "COMPLETED", "FAILED", "RUNNING", "SCHEDULED"):
            server.complete(state)
        wait_until(lambda: durations(backend.last()) == 3, within=60, what="durations")
        running.process.stop()
        running.settings |= STILL
        running.start()
        expected, last = settled(running, backend)
        address = running.address

    assert expected == samples(last)
    assert {"gauge", "sum", "histogram"} == {sample.kind for sample in expected}
    assert 3 == durations(last)
    assert last.keys() - {sample.name for sample in expected} == OF_THE_SCRAPE
    port = address.partition(":")[2]
    resource = {
        ("service.name", "prefect-exporter"),
        ("service.instance.id", address),
        ("server.port", port),
        ("url.scheme", "http"),
    }
    assert {frozenset(resource)} == backend.resources
    shown = PAGE.read_text()
    assert all(f"`{name}`" in shown for name in OF_THE_SCRAPE | {name for name, _ in resource})


def test_totals_do_not_fall_when_the_exporter_is_killed(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """Over kill -9 of the exporter, each total goes on, with what ended meanwhile."""
    with (
        exporter(tmp_path, server.url) as running,
        collector(otelcol, tmp_path, METRICS, **between(running, backend)),
    ):
        wait_for_series(backend)
        server.complete()
        wait_for_completed(backend, 1)
        running.process.kill()
        wait_until(lambda: backend.value("up") == 0, within=60, what="up 0")
        server.complete()
        running.start()
        wait_for_completed(backend, 2)

    by_series = streams(backend.points)
    assert {FINISHED, DURATION} <= {name for name, _ in by_series} <= backend.gone
    assert {CUMULATIVE} == {each.temporality for points in by_series.values() for each in points}
    assert {0} == {each.start_ns for points in by_series.values() for each in points}
    assert [] == [series for series, points in by_series.items() if falls(points)]


def streams(points: list[Point]) -> dict[tuple[str, Labels], list[Point]]:
    """Return the points of each series that is in the ledger, in the order of their scrapes."""
    found = defaultdict(list)
    for point in sorted(points, key=lambda each: each.at_ns):
        sample = point.sample
        if sample.kind != "gauge" and not sample.name.startswith(OF_THE_PROCESS):
            found[sample.name, sample.labels].append(point)
    return dict(found)


def falls(points: list[Point]) -> bool:
    """Return whether any value, or any bucket, is below the one before."""
    return any(
        low < high
        for before, after in pairwise(points)
        for high, low in zip(numbers(before), numbers(after), strict=True)
    )


def numbers(point: Point) -> tuple[float, ...]:
    """Return every number that may not fall."""
    match point.sample.value:
        case Buckets() as buckets:
            return (*buckets.counts, buckets.count, buckets.total)
        case value:
            return (value,)


def test_collector_that_comes_back_sends_the_totals(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """What was counted while no collector ran is in the first export of the next one."""
    with (
        exporter(tmp_path, server.url) as running,
        collector(otelcol, tmp_path, METRICS, **between(running, backend)) as process,
    ):
        wait_for_series(backend)
        server.complete()
        wait_for_completed(backend, 1)
        process.kill()
        server.complete()
        line = f'{FINISHED}{{deployment="nightly",flow="etl",outcome="completed"'
        wait_until(
            lambda: any(
                each.startswith(line) and each.endswith(" 2.0")
                for each in running.openmetrics().splitlines()
            ),
            within=60,
            what="2 completions on the page",
        )
        backend.points.clear()
        process.start()
        wait_until(lambda: bool(backend.last()), within=60, what="an export")
        first = min(point.at_ns for point in backend.points)

    values = [
        point.sample.value
        for point in backend.points
        if point.at_ns == first
        and point.sample.name == FINISHED
        and ("outcome", "completed") in point.sample.labels
    ]
    assert 2.0 in values


@pytest.mark.parametrize(
    ("guard", "secret"),
    [("BEARER_TOKEN", "token-1"), ("BASIC_AUTH", "me:pass-1")],
    ids=["token", "password"],
)
def test_guarded_exporter_is_read(
    tmp_path: Path,
    otelcol: Path,
    backend: Backend,
    guard: str,
    secret: str,
) -> None:
    """With TLS and a credential on the exporter's side, the file for it is all that is needed."""
    ca, key = certificate(tmp_path)
    user, _, password = secret.rpartition(":")
    known = tmp_path / "secret"
    known.write_text(password)
    settings = {"TLS_CERT_FILE": str(ca), "TLS_KEY_FILE": str(key), guard: secret}
    overlay = DEPLOY / ("password.yaml" if user else "token.yaml")
    credentials = {
        "SCRAPE_CA_FILE": str(ca),
        "SCRAPE_TOKEN_FILE": str(known),
        "SCRAPE_PASSWORD_FILE": str(known),
        "SCRAPE_USER": user,
    }
    # No Prefect is needed to be scraped.
    with exporter(tmp_path, "http://127.0.0.1:9/api", settings, ca=ca) as running:
        env = between(running, backend) | credentials
        with collector(otelcol, tmp_path, METRICS, overlay, **env):
            wait_until(lambda: backend.value("up") == 1, within=60, what="up 1")
        known.write_text("wrong")
        with collector(otelcol, tmp_path, METRICS, overlay, **env):
            wait_until(lambda: backend.value("up") == 0, within=60, what="up 0")


def test_grpc_carries_the_same(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """By gRPC the same samples arrive; a second collector is the backend that takes them."""
    port = free_port()
    relay = tmp_path / "relay.yaml"
    relay.write_text(
        yaml.safe_dump(
            {
                "receivers": {
                    "otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}},
                },
                "exporters": {"otlp_http": {"endpoint": backend.url, "encoding": "json"}},
                "service": {
                    "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}
                },
            }
        )
    )
    with (
        exporter(tmp_path, server.url, STILL) as running,
        collector(otelcol, tmp_path, relay),
    ):
        env = between(running, backend) | {
            "OTLP_ENDPOINT": f"127.0.0.1:{port}",
            "OTLP_INSECURE": "true",
        }
        with collector(otelcol, tmp_path, METRICS, DEPLOY / "grpc.yaml", **env):
            expected, last = settled(running, backend)

    assert expected == samples(last)


def test_deltas_add_up_to_what_was_counted(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """Deltas sum up to the truth: for new series, and over kill -9 of exporter or collector."""
    files = METRICS, DEPLOY / "delta.yaml"
    with (
        exporter(tmp_path, server.url) as running,
        collector(otelcol, tmp_path, *files, **between(running, backend)) as process,
    ):
        # A counter's first point is not sent, so its second one is awaited.
        wait_until(lambda: FINISHED in backend.last(), within=60, what="the deployment's series")
        server.complete()
        server.complete()
        wait_until(lambda: deltas(backend) == (2, 2), within=60, what="2 by deltas")
        running.process.kill()
        wait_until(lambda: backend.value("up") == 0, within=60, what="up 0")
        server.complete()
        running.start()
        wait_until(lambda: deltas(backend) == (3, 3), within=60, what="3 by deltas")
        process.kill()
        sent = len(backend.points)
        process.start()
        wait_until(
            lambda: any(each.sample.name == FINISHED for each in backend.points[sent:]),
            within=60,
            what="deltas of the next collector",
        )

    assert (3, 3) == deltas(backend)
    by_series = streams(backend.points)
    assert {DELTA} == {each.temporality for points in by_series.values() for each in points}


def deltas(backend: Backend) -> tuple[float, int]:
    """Return the sums of completions and of observed durations."""
    completions, observations = 0.0, 0
    for point in list(backend.points):
        match point.sample:
            case Sample(name="prefect_flow_runs_finished_total", value=float(value)):
                completions += value
            case Sample(name="prefect_flow_run_duration_seconds", value=Buckets() as buckets):
                observations += buckets.count
    return completions, observations


def test_exemplars_arrive_with_their_trace(
    tmp_path: Path, otelcol: Path, backend: Backend, server: Prefect
) -> None:
    """The failure and the duration of a run in a trace arrive with that trace and its span."""
    with (
        exporter(tmp_path, server.url) as running,
        collector(otelcol, tmp_path, METRICS, **between(running, backend)),
    ):
        wait_for_series(backend)
        server.complete("FAILED", __OTEL_TRACEPARENT=f"00-{TRACE_ID}-{SPAN_ID}-01")
        wait_until(
            lambda: {FINISHED, DURATION} <= linked(backend).keys(), within=60, what="exemplars"
        )

    assert {FINISHED: {(TRACE_ID, SPAN_ID)}, DURATION: {(TRACE_ID, SPAN_ID)}} == linked(backend)


def linked(backend: Backend) -> dict[str, set[tuple[str, str]]]:
    """Return the traces and spans of all exemplars by metric."""
    found = defaultdict(set)
    for point in list(backend.points):
        for exemplar in point.exemplars:
            found[point.sample.name].add(exemplar)
    return dict(found)


def test_page_shows_the_configuration_as_it_is() -> None:
    """What the page tells the reader to copy is what is tested here."""
    shown = PAGE.read_text()

    assert METRICS.read_text() in shown
    # Those of the stack have a page of their own.
    stack = {path.name for path in (*STACK, *POD_LOGS, AGENT)} | {"kubernetes.yaml"}
    others = ({path.name for path in DEPLOY.glob("*.yaml")} - stack) | {"runs.yaml"}
    assert all(f"`{name}`" in shown for name in others)
