"""What is published, and when: never ahead of the ledger, never a counter born above 0."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from contexts import context_of, ledger_of, settings_of
from fakes import FakePrefect
from fronts import plain
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED
from prefect_exporter.errors import LedgerDamaged, LedgerError, LedgerFull, Unreachable
from prefect_exporter.facts import Add, Change, Fact, Observe, Series
from prefect_exporter.ledger import Ledger
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.moments import MINUTE
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.traffic import Traffic
from worlds import collecting, prefect_of, run

HOLD = 60.0
ENDS = Series(FINISHED.name, ("test", "etl", "daily", "false", "failed"))
MORE = Series(FINISHED.name, ("test", "etl", "daily", "false", "crashed"))
SPENT = Series("prefect_flow_run_duration_seconds", ("test", "etl", "daily", "failure"))


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return them."""
        return self.now


@dataclass
class Scene:
    """A publisher, and what it publishes."""

    context: Context
    runners: dict[str, Runner[Any]]
    clock: Clock
    publisher: Publisher

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self.context.store.ledger

    def count(self, number: int, *series: Series) -> None:
        """Commit one more end of a run."""
        effects = tuple(
            Observe(each, 3.0) if each.family == SPENT.family else Add(each) for each in series
        )
        fact = Fact(UUID(int=number), number, effects)
        self.ledger.commit(Change("test", "flow_runs", (fact,)))

    def publish(self) -> Mapping[str, float]:
        """Publish, and return the samples by their name and labels but the target."""
        run(self.publisher.publish())
        samples: dict[str, float] = {}
        for family in text_string_to_metric_families(plain(self.publisher.current.text).decode()):
            for sample in family.samples:
                labels = [value for name, value in sample.labels.items() if name != "target"]
                samples[" ".join([sample.name, *sorted(labels)])] = sample.value
        return samples

    def ends(self) -> float | None:
        """Publish, and return the ends as they are shown."""
        return self.publish().get(f"{FINISHED.name} daily etl failed false")

    def scrape(self) -> None:
        """Let a scrape have the current publication."""
        self.publisher.served(self.publisher.current.version)


def scene_of(context: Context) -> Scene:
    """Put a publisher together as the service does."""
    outages, clock = Outages("test", lambda: 0.0), Clock()
    runners = {each.name: Runner(each, context, outages) for each in build(context.settings)}
    publisher = Publisher(
        list(runners.values()),
        {"test": Traffic()},
        context.store,
        hold_seconds=HOLD,
        clock=clock,
    )
    return Scene(context, runners, clock, publisher)


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="scene")
def _scene(tmp_path: Path, prefect: FakePrefect) -> Iterator[Scene]:
    with collecting(tmp_path, prefect) as context:
        yield scene_of(context)


def test_new_series_stays_at_zero_until_it_is_served(scene: Scene) -> None:
    """A new counter shows 0 until a scrape has had that 0, then all that it counted."""
    scene.count(1, ENDS)
    before = [scene.ends(), scene.ends()]
    scene.count(2, ENDS)
    scene.scrape()

    assert ([0.0, 0.0], 2.0) == (before, scene.ends())


def test_histogram_stays_empty_until_it_is_served(scene: Scene) -> None:
    """A new histogram shows nothing observed until a scrape has had that."""
    scene.count(1, SPENT)
    name = "prefect_flow_run_duration_seconds_count daily etl failure"
    before = scene.publish()[name]
    scene.scrape()

    assert (0.0, 1.0) == (before, scene.publish()[name])


def test_unserved_series_stays_at_zero_until_the_deadline(scene: Scene) -> None:
    """Where nobody scrapes, a new counter is shown when its time is up, and not before."""
    scene.count(1, ENDS)
    scene.ends()
    scene.clock.now += HOLD - 0.1
    before = scene.ends()
    scene.clock.now += 0.1

    assert (0.0, 1.0) == (before, scene.ends())


def test_deadline_begins_with_the_first_publication(scene: Scene) -> None:
    """The time before the zero was on the page does not count."""
    scene.count(1, ENDS)
    scene.clock.now += 10 * HOLD

    assert 0.0 == scene.ends()


def test_scrape_of_an_older_page_does_not_count(scene: Scene) -> None:
    """Only a page that had the zero can have shown it."""
    scene.publish()
    older = scene.publisher.current.version
    scene.count(1, ENDS)
    scene.ends()
    scene.publisher.served(older)

    assert 0.0 == scene.ends()


def test_known_series_is_shown_at_once(scene: Scene) -> None:
    """Only a series' first count is held, not the later ones."""
    scene.count(1, ENDS)
    scene.ends()
    scene.scrape()
    scene.ends()
    scene.count(2, ENDS)
    scene.count(3, MORE)
    shown = scene.publish()

    assert (2.0, 0.0) == (
        shown[f"{FINISHED.name} daily etl failed false"],
        shown[f"{FINISHED.name} crashed daily etl false"],
    )


def test_seeded_series_shows_its_first_count(scene: Scene) -> None:
    """A seed that was served at 0 does not hold back the first count."""
    scene.ledger.commit(Change("test", "deployments", seeds=(ENDS,)))
    scene.ends()
    scene.scrape()
    scene.ends()
    scene.count(1, ENDS)

    assert 1.0 == scene.ends()


def test_restart_does_not_take_a_counter_back(tmp_path: Path, prefect: FakePrefect) -> None:
    """What was shown is shown by the next process from its first page on."""
    with collecting(tmp_path, prefect) as context:
        scene = scene_of(context)
        scene.count(1, ENDS)
        scene.ends()
        scene.scrape()
        shown = scene.ends()
    with collecting(tmp_path, prefect) as context:
        assert 1.0 == shown == scene_of(context).ends()


def test_restart_keeps_back_what_was_held(tmp_path: Path, prefect: FakePrefect) -> None:
    """A zero that nobody was served is still at 0 on the next process' first page."""
    with collecting(tmp_path, prefect) as context:
        scene = scene_of(context)
        scene.count(1, ENDS)
        scene.ends()
    with collecting(tmp_path, prefect) as context:
        scene = scene_of(context)

        assert 0.0 == scene.ends()


def test_family_of_two_targets_is_shown_once(tmp_path: Path, prefect: FakePrefect) -> None:
    """A family is one family by its name, whatever each target's collector says of it."""
    with collecting(tmp_path, prefect) as context:
        runners = []
        for target in ("one", "two"):
            collector = Odd(help=f"Of {target}.")
            outages = Outages(target, lambda: 0.0)
            runners.append(Runner(collector, replace(context, target=target), outages))
            run(runners[-1].tick())
        traffics = {"one": Traffic(), "two": Traffic()}
        publisher = Publisher(runners, traffics, context.store, hold_seconds=HOLD)
        run(publisher.publish())
        lines = plain(publisher.current.text).decode().splitlines()

        assert ["# HELP odd Of one.", "# TYPE odd gauge"] == [
            line for line in lines if line.startswith("#") and line.split()[2] == "odd"
        ]
        assert ['odd{target="one"} 1.0', 'odd{target="two"} 1.0'] == [
            line for line in lines if line.startswith("odd{")
        ]


class StubbornLedger(Ledger):
    """A ledger that cannot release, as on a full disk."""

    failure: LedgerError | None = None

    def release(self, series: Any) -> None:  # noqa: ANN401  # as the ledger has it
        """Release, or fail."""
        if self.failure is not None:
            raise self.failure
        super().release(series)


@pytest.fixture(name="stubborn")
def _stubborn(tmp_path: Path, prefect: FakePrefect) -> Iterator[Scene]:
    settings = settings_of()
    template = ledger_of(tmp_path / "template", settings)
    template.close()
    ledger = StubbornLedger(tmp_path / "ledger", template.tally.families, settings.limits())
    context = context_of(prefect, ledger, settings)
    yield scene_of(context)
    context.store.close()


def test_nothing_is_shown_that_could_not_be_kept(stubborn: Scene) -> None:
    """A series that could not be released in the file stays at 0; the rest is published."""
    stubborn.count(1, ENDS)
    stubborn.ends()
    stubborn.scrape()
    ledger = stubborn.ledger
    assert isinstance(ledger, StubbornLedger)
    ledger.failure = LedgerFull("the disk is full")
    with capture_logs() as logs:
        failed = stubborn.ends()
    ledger.failure = None

    assert (0.0, 1.0) == (failed, stubborn.ends())
    assert ["release.failed"] == [line["event"] for line in logs]


def test_damage_is_passed_on(stubborn: Scene) -> None:
    """A damaged ledger ends the publisher: it cannot say what may be shown."""
    stubborn.count(1, ENDS)
    stubborn.ends()
    stubborn.scrape()
    ledger = stubborn.ledger
    assert isinstance(ledger, StubbornLedger)
    ledger.failure = LedgerDamaged("is damaged")

    with pytest.raises(LedgerDamaged):
        stubborn.ends()


def test_each_publication_has_its_version(scene: Scene) -> None:
    """Versions grow by one."""
    versions = []
    for _ in range(3):
        scene.publish()
        versions.append(scene.publisher.current.version)

    assert [1, 2, 3] == versions


def test_first_page_has_what_the_exporter_knows_of_itself(scene: Scene) -> None:
    """Before any poll there is a page, without a single number of Prefect's."""
    shown = scene.publish()

    assert "prefect_exporter_ledger_bytes" in shown
    assert [] == [name for name in shown if not name.startswith(("prefect_exporter_", "process_"))]


def test_stale_gauges_go_and_counters_stay(scene: Scene, prefect: FakePrefect) -> None:
    """Gauges that nobody could ask for in a long time are dropped; what was counted stays."""
    scene.count(1, ENDS)
    for name in ("flow_runs", "flow_runs_late", "flow_run_events"):
        run(scene.runners[name].tick())
    scene.publish()
    scene.scrape()
    shown = scene.publish()
    prefect.down(Unreachable("flow_runs/filter", "connection refused"))
    prefect.now_us += 4 * MINUTE
    with capture_logs():
        run(scene.runners["flow_runs_late"].tick())
    failing = scene.publish()
    prefect.now_us += 1 * MINUTE
    stale = scene.publish()

    gauge, counter = "prefect_flow_runs_scheduled", f"{FINISHED.name} daily etl failed false"
    own = "prefect_exporter_event_only_completions_total"
    assert (0.0, 1.0, 0.0) == (shown[gauge], shown[counter], shown[own])
    assert (0.0, 1.0, 0.0) == (failing[gauge], failing[counter], failing[own])
    assert (None, 1.0, 0.0) == (stale.get(gauge), stale[counter], stale[own])


class TellingPublisher(Publisher):
    """A publisher that says when it has published."""

    def __init__(self, scene: Scene) -> None:
        super().__init__([], {}, scene.context.store, hold_seconds=HOLD)
        self.published = asyncio.Event()

    async def publish(self) -> None:
        """Publish, and say so."""
        await super().publish()
        self.published.set()


def test_poll_leads_to_a_publication(scene: Scene) -> None:
    """A poke publishes, and polls that end together share one publication."""

    async def work() -> int:
        publisher = TellingPublisher(scene)
        task = asyncio.create_task(publisher.run())
        for runner in scene.runners.values():
            publisher.poke(runner)
        async with asyncio.timeout(30):
            await publisher.published.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return publisher.current.version

    assert 1 == run(work())


def test_unchanged_families_are_not_rendered_again(scene: Scene) -> None:
    """A publication renders the series that changed: the others' lines are the same objects."""
    for number in range(100):
        series = Series(FINISHED.name, ("test", "etl", f"d{number}", "false", "failed"))
        scene.count(number, series)
    scene.publish()
    scene.ledger.tally.changes(FINISHED.name)
    tampered = scene.ledger.tally.scalars[FINISHED.name]
    for labels in tampered:
        tampered[labels] = 7.0

    assert 7.0 not in [
        value for name, value in scene.publish().items() if name.startswith(FINISHED.name)
    ]


@dataclass
class Odd:
    """A collector, and its own state, with a family that cannot always be read."""

    broken: bool = False
    truncated: bool = False
    folded: int = 0
    name: str = "odd"
    help: str = "Odd."
    required: bool = False
    counted: tuple[Counted, ...] = ()
    interval_seconds: float = 15.0

    @property
    def families(self) -> tuple[Family[Odd], ...]:
        """Return the family."""
        return (Family("odd", Kind.GAUGE, self.help, (), _read_odd),)

    async def poll(self, context: Context, previous: Odd | None) -> Odd:
        """Return what it is now."""
        return replace(self)


def _read_odd(state: Odd) -> Samples:
    if state.broken:
        raise KeyError("odd")
    yield (), 1.0


def test_defect_in_rendering_keeps_what_was_shown(tmp_path: Path, prefect: FakePrefect) -> None:
    """What was published stays, the process goes on, and the next publication is whole."""
    with collecting(tmp_path, prefect) as context:
        odd = Odd()
        runner = Runner(odd, context, Outages("test", lambda: 0.0))
        publisher = Publisher([runner], {"test": Traffic()}, context.store, hold_seconds=HOLD)
        series = Series(FINISHED.name, ("test", "daily", "etl", "false", "failed"))
        context.store.ledger.commit(Change("test", "rows", seeds=(series,)))
        run(runner.tick())
        run(publisher.publish())
        shown = publisher.current
        odd.broken = True
        run(runner.tick())
        with capture_logs() as logs:
            run(poke_until(publisher, runner, lambda: bool(logs)))
        kept = publisher.current
        odd.broken = False
        run(runner.tick())
        run(poke_until(publisher, runner, lambda: publisher.current is not kept))

        assert shown is kept
        assert ["publication.failed"] == [line["event"] for line in logs]
        before, after = plain(shown.text), plain(publisher.current.text)
        assert set(before.splitlines()[:4]) == set(after.splitlines()[:4])


async def poke_until(publisher: Publisher, runner: Runner[Odd], holds: Callable[[], bool]) -> None:
    """Run the publisher as the service does until something holds."""
    task = asyncio.create_task(publisher.run())
    async with asyncio.timeout(20):
        while not holds():
            assert not task.done()
            publisher.poke(runner)
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
