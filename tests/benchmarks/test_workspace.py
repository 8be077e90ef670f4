"""The large workspace, as Prefect's API gives it back and as the exporter shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.estate import Scale
from bench.history import Unended
from bench.report import Results, show
from bench.scraping import Scraper, Values
from bench.site import Site, site, wait_for_polls
from bench.workspace import WorkspacePlan, measure_workspace
from demo.postgres import start_postgres
from demo.sandbox import Sandbox
from prefect_exporter import collectors

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SCALE = Scale(
    flows=3,
    deployments=12,
    pools=5,
    queues=7,
    workers=4,
    tasks=4,
    tag_limits=2,
    limits=2,
    automations=2,
)
PLAN = WorkspacePlan(
    scale=SCALE,
    flow_runs=30,
    unended=Unended(running=4, beating=2, late=3, scheduled=5),
    starts=1,
    minutes=1,
    scrapes=2,
    minute=20.0,
    scraping=1.0,
    idling=1.0,
)


@pytest.fixture(name="place", scope="module")
def _place() -> Iterator[Site]:
    with Sandbox() as sandbox, site(sandbox, start_postgres(sandbox), PLAN.shape) as place:
        yield place


@pytest.fixture(name="shown", scope="module")
def _shown(place: Site) -> Values:
    with place.exporter() as exporter:
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper)
        return scraper.values()


def test_every_collector_is_measured(place: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Each collector's first poll and its steady polls have a time, and are printed."""
    workspace = measure_workspace(place, PLAN, lambda _line: None)
    show(Results("a machine", "today", workspace=workspace))
    printed = capsys.readouterr().out

    assert {*collectors.names()} == {*workspace.polls} == {*workspace.starts[0].first}
    assert all(f"| {name} " in printed for name in collectors.names())


@pytest.mark.parametrize(
    ("family", "samples"),
    [
        ("prefect_deployment_info", 12),
        ("prefect_work_pool_info", 5),
        ("prefect_work_queue_priority", 7),
        ("prefect_worker_last_heartbeat_timestamp_seconds", 4),
        # Two of tags, two global ones, and those of the second and the twelfth deployment.
        ("prefect_concurrency_limit_slots", 6),
        ("prefect_automation_enabled", 2),
    ],
)
def test_everything_is_shown(shown: Values, family: str, samples: int) -> None:
    """What was written into Prefect's tables comes out of the exporter, as many of each."""
    assert samples == len([*shown.of(family)])


def test_slots_of_tags_are_held(shown: Values) -> None:
    """The running task runs hold the slots of the tags' limits."""
    held = shown.of("prefect_concurrency_limit_holders", 'kind="tag"')

    assert [2.0, 2.0] == [*held]
