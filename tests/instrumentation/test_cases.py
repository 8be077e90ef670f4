"""docs/tracing.md's trees are what arrives, for each way in and both protocols."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest

import otlp_receiver
import traced_docs
import traced_flows
from demo.processes import wait_until
from otlp_receiver import ReceivedSpan
from traced_docs import Case
from traced_scene import Scene, Way, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

CASES = traced_docs.cases("trace")

CLUSTERS = ("dask", "ray")
"""Cases that take long to start, and run in one way only."""

PLUGIN: tuple[Way, otlp_receiver.Protocol] = ("plugin", "http")

RUNS = ("INTERNAL", "prefect_instrumentation")
REQUESTS = ("CLIENT", "opentelemetry.instrumentation.httpx")


@dataclass(frozen=True, slots=True)
class Arrived:
    """The names of the cases that a process ran, and all spans that it has sent."""

    names: list[str]
    spans: tuple[ReceivedSpan, ...]

    def of(self, case: Case) -> list[ReceivedSpan]:
        """Return the spans in the traces of a case."""
        root = ("", f"flow {case.name}")
        traces = {span.trace_id for span in self.spans if (span.parent_id, span.name) == root}
        return [span for span in self.spans if span.trace_id in traces]

    def has(self, case: Case) -> bool:
        """Return whether a case has as many spans as its tree."""
        return len(self.of(case)) >= len(case.tree.splitlines())


@pytest.fixture(
    name="arrived",
    scope="module",
    params=[PLUGIN, ("setup", "grpc"), ("opentelemetry-instrument", "http")],
    ids="-".join,
)
def _arrived(request: pytest.FixtureRequest, scene: Scene) -> Arrived:
    """Run the cases in one process, and return what has arrived when it has ended."""
    way: Way
    way, protocol = request.param
    env = scene.environment(way, way, protocol)
    names = [name for name in CASES if name not in CLUSTERS or request.param == PLUGIN]
    process = scene.start(way, command(way, "traced_flows", *names), env)
    wait_until(lambda: not process.running, within=300, what=f"the end of {way}")
    assert process.wait() == 0, process.log_tail()

    def found() -> Arrived:
        return Arrived(names, scene.spans_by(way))

    with suppress(TimeoutError):  # what is missing shows in the trees
        # A cluster's worker sends its spans beside the end of the program, not before it.
        wait_until(
            lambda: all(found().has(CASES[name]) for name in CLUSTERS if name in names),
            within=20,
            what="the spans of the clusters",
        )
    return found()


def test_every_case_is_in_the_docs() -> None:
    """The flows are those of the trees, and the trees those of the flows."""
    assert sorted(CASES) == sorted(traced_flows.CASES)


@pytest.mark.parametrize("name", [name for name in CASES if name not in CLUSTERS])
def test_trace_is_as_the_docs_draw_it(name: str, arrived: Arrived) -> None:
    """Each case's tree arrives whole and alone, whatever way the process is instrumented."""
    assert CASES[name].tree == CASES[name].draw(arrived.of(CASES[name]))


@pytest.mark.parametrize("arrived", [PLUGIN], ids="-".join, indirect=True)
@pytest.mark.parametrize("name", CLUSTERS)
def test_trace_of_a_cluster_is_as_the_docs_draw_it(name: str, arrived: Arrived) -> None:
    """Tasks that a cluster runs are in the trace of the flow that submitted them."""
    assert CASES[name].tree == CASES[name].draw(arrived.of(CASES[name]))


def test_nothing_else_arrives(arrived: Arrived) -> None:
    """No span is outside of the cases' traces: none is doubled, none native, none orphaned."""
    known = {span.trace_id for name in arrived.names for span in arrived.of(CASES[name])}

    assert len(known) == len(arrived.names)
    assert [] == [span.name for span in arrived.spans if span.trace_id not in known]
    assert {RUNS, REQUESTS} == {(span.kind, span.scope) for span in arrived.spans}


def test_every_flow_run_has_one_correlation_id_of_its_own(arrived: Arrived) -> None:
    """All spans of a trace carry the same correlation id, and no other trace does."""
    ids: dict[str, set[object]] = {}
    for span in arrived.spans:
        if "prefect.run.type" in span.attributes:
            ids.setdefault(span.trace_id, set()).add(span.attributes.get("correlation_id"))

    assert {1} == {len(found) for found in ids.values()}
    assert len(ids) == len(set().union(*ids.values()))


def test_parameters_are_never_recorded_unasked(arrived: Arrived) -> None:
    """A parameter's value that nobody has named is in no span."""
    assert "hunter2" not in repr(arrived)
