"""docs/tracing.md's trees are what arrives, for each way in and both protocols."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import traced_docs
import traced_scene
from demo.processes import wait_until
from otlp_receiver import ReceivedSpan
from traced_docs import Case
from traced_scene import Scene, Way, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

CASES = list(traced_docs.cases("trace").values())


@pytest.fixture(name="scene", scope="module")
def _scene() -> Iterator[Scene]:
    with traced_scene.scene() as scene:
        yield scene


@pytest.fixture(
    name="arrived",
    scope="module",
    params=[("plugin", "http"), ("setup", "grpc"), ("opentelemetry-instrument", "http")],
    ids=["plugin-http", "setup-grpc", "opentelemetry-instrument-http"],
)
def _arrived(request: pytest.FixtureRequest, scene: Scene) -> tuple[ReceivedSpan, ...]:
    """Run all cases of one process, and return what has arrived when it has ended."""
    way: Way
    way, protocol = request.param
    env = scene.environment(way, way, protocol)
    names = [case.name for case in CASES]
    process = scene.start(way, command(way, "traced_flows", *names), env)
    wait_until(lambda: not process.running, within=300, what=f"the end of {way}")
    assert process.wait() == 0, process.log_tail()

    return scene.spans_by(way)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_trace_is_as_the_docs_draw_it(case: Case, arrived: tuple[ReceivedSpan, ...]) -> None:
    """Each case's tree arrives whole and alone, whatever way the process is instrumented."""
    roots = {span.trace_id for span in arrived if span.name == f"flow {case.name}"}
    spans = [span for span in arrived if span.trace_id in roots]

    assert case.tree == case.draw(spans)


def test_nothing_else_arrives(arrived: tuple[ReceivedSpan, ...]) -> None:
    """No span is outside of the cases' traces: none is doubled, none native, none orphaned."""
    roots = {f"flow {case.name}" for case in CASES}
    known = {span.trace_id for span in arrived if span.name in roots}

    assert len(known) == len(CASES)
    assert [] == [span.name for span in arrived if span.trace_id not in known]
    assert {"prefect_instrumentation"} == {span.scope for span in arrived}


def test_every_flow_run_has_one_correlation_id_of_its_own(
    arrived: tuple[ReceivedSpan, ...],
) -> None:
    """All spans of a trace carry the same correlation id, and no other trace does."""
    ids: dict[str, set[object]] = {}
    for span in arrived:
        if "prefect.run.type" in span.attributes:
            ids.setdefault(span.trace_id, set()).add(span.attributes.get("correlation_id"))

    assert {1} == {len(found) for found in ids.values()}
    assert len(ids) == len(set().union(*ids.values()))


def test_parameters_are_never_recorded_unasked(arrived: tuple[ReceivedSpan, ...]) -> None:
    """A parameter's value that nobody has named is in no span."""
    assert "hunter2" not in repr(arrived)
