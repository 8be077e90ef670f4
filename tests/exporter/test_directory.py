"""Names of flows and deployments: asked once, in pages, kept within bounds and beyond deletion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakePrefect
from prefect_exporter.collectors.base import Context
from prefect_exporter.directory import DELETED, DEPLOYMENT_PAGE, PAGE, Recent, pages
from prefect_exporter.errors import Unreachable
from prefect_exporter.ledger.names import DeploymentName
from prefect_exporter.wire import Deployment, Flow
from worlds import (
    FLOW,
    collecting,
    deployment,
    deployment_id,
    flow_run,
    prefect_of,
    put,
    run,
    run_id,
)

MANY = [UUID(int=number) for number in range(1, 501)]


class Counting(FakePrefect):
    """A Prefect that notes how many ids each question has."""

    def __init__(self) -> None:
        super().__init__(flow_names={key: f"flow {key.int}" for key in MANY})
        self.sizes: list[int] = []

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return flows."""
        self.sizes.append(len(ids))
        return await super().flows(ids)

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return deployments."""
        self.sizes.append(len(ids))
        return await super().deployments(ids)


@pytest.fixture(name="prefect")
def _prefect() -> Counting:
    return Counting()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def test_flows_are_asked_in_pages_and_once(prefect: Counting, context: Context) -> None:
    """No question has more ids than Prefect takes, and a known name is not asked again."""
    names = run(context.directory.flows(MANY))
    run(context.directory.flows(MANY))

    assert {key: f"flow {key.int}" for key in MANY} == names
    assert [PAGE, PAGE, 100] == prefect.sizes


def test_deleted_flow_has_a_name(context: Context) -> None:
    """A flow that Prefect does not know has the name that stands for those."""
    gone = UUID(int=9999)

    assert {gone: DELETED} == run(context.directory.flows([gone]))


def test_long_flow_name_is_clipped(tmp_path: Path) -> None:
    """Names are bounded before they reach a label or the ledger."""
    prefect = FakePrefect(flow_names={FLOW: "x" * 10_000})
    with collecting(tmp_path, prefect) as context:
        names = run(context.directory.flows([FLOW]))

    assert 128 == len(names[FLOW])


def test_deployments_are_asked_in_small_pages(prefect: Counting, context: Context) -> None:
    """Deployments are dear: they are asked a few at a time, and once."""
    put(prefect, *(deployment(number, f"d{number}") for number in range(120)))
    ids = [deployment_id(number) for number in range(120)]
    names = run(context.directory.deployments(ids))
    run(context.directory.deployments(ids))

    assert DeploymentName(ids[7], "flow 1", "d7") == names[ids[7]]
    assert [DEPLOYMENT_PAGE, DEPLOYMENT_PAGE, 20] == [size for size in prefect.sizes if size > 1]


def test_deleted_deployment_keeps_its_name(tmp_path: Path, prefect: Counting) -> None:
    """A deployment that was seen once is known after its deletion and a restart."""
    put(prefect, deployment(1, "daily"))
    expected = {deployment_id(1): DeploymentName(deployment_id(1), "flow 1", "daily")}
    with collecting(tmp_path, prefect) as context:
        run(context.directory.deployments([deployment_id(1)]))
    prefect.deployment_rows.clear()
    with collecting(tmp_path, prefect) as context:
        assert expected == run(context.directory.deployments([deployment_id(1)]))


def test_deployment_that_was_never_seen_has_a_name(context: Context) -> None:
    """A deployment that is gone before anybody saw it has the name that stands for those."""
    key = deployment_id(1)

    assert {key: DeploymentName(key, DELETED, DELETED)} == run(context.directory.deployments([key]))


def test_flows_of_runs_are_asked_in_pages_and_once(prefect: Counting, context: Context) -> None:
    """The flow of a task run is found by its flow run, and remembered."""
    put(prefect, *(flow_run(number, flow_id=MANY[number]) for number in range(300)))
    ids = [run_id(number) for number in range(300)]
    names = run(context.directory.flows_of_runs(ids))
    asked = prefect.asked.count("flow_runs/filter")
    run(context.directory.flows_of_runs(ids))

    assert "flow 8" == names[ids[7]]
    assert (2, 2) == (asked, prefect.asked.count("flow_runs/filter"))


def test_every_run_is_found_where_pages_are_small(prefect: Counting, context: Context) -> None:
    """A server that gives fewer rows at once than were asked for by id is asked for the rest."""
    prefect.page_size = 3
    put(prefect, *(flow_run(number, flow_id=MANY[0]) for number in range(10)))

    names = run(context.directory.flows_of_runs({run_id(number) for number in range(10)}))

    assert {"flow 1"} == set(names.values())


def test_run_that_is_gone_has_a_name(context: Context) -> None:
    """A task run may outlive its flow run."""
    assert {run_id(1): DELETED} == run(context.directory.flows_of_runs([run_id(1)]))


def test_failure_names_nothing(prefect: Counting, context: Context) -> None:
    """Where Prefect does not answer, no name is made up."""
    prefect.down(Unreachable("flows/filter", "connection refused"))

    with pytest.raises(Unreachable):
        run(context.directory.flows(MANY))
    prefect.up()
    assert "flow 1" == run(context.directory.flows(MANY))[FLOW]


def test_places_fold_beyond_the_limit(tmp_path: Path) -> None:
    """Names get their places from the ledger."""
    with collecting(tmp_path, prefect_of(), MAX_DEPLOYMENTS="1") as context:
        places = [run(context.directory.places("deployment", [("etl", name)])) for name in "ab"]

    assert [("etl", "a"), ("other", "other")] == [next(iter(each.values())) for each in places]


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 8))
def test_recent_names_are_bounded(keys: list[int], size: int) -> None:
    """The names last used are kept, however many there were."""
    recent = Recent(size)
    used: list[int] = []
    for key in keys:
        if not recent.take([UUID(int=key)]):
            recent.put({UUID(int=key): str(key)})
        used = [each for each in used if each != key] + [key]

    assert [UUID(int=key) for key in used[-size:]] == list(recent)


@given(st.lists(st.integers()), st.integers(1, 10))
def test_pages_lose_nothing(items: list[int], size: int) -> None:
    """Pieces are full but the last one, and together they are everything."""
    pieces = list(pages(items, size))

    assert items == [item for piece in pieces for item in piece]
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)
