"""Several targets in one process: told apart, not in each other's way, changed while at work."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import stamina
from structlog.testing import capture_logs

from contexts import settings_of
from fronts import plain
from misbehaving import Fault, MisbehavingPrefect
from prefect_exporter.environment import BadSettings
from prefect_exporter.publisher import GATHER_SECONDS
from prefect_exporter.service import Service
from prefect_exporter.settings import Settings
from prefect_exporter.shards import owner
from prefect_exporter.targets import Target, Targets

DEADLINE_SECONDS = 60


@dataclass
class World:
    """A service whose targets a test changes; ``told`` is raised in place of them, if set."""

    path: Path
    targets: list[Target] = field(default_factory=list)
    budgets: dict[str, int] = field(default_factory=dict)
    told: BadSettings | None = None
    shard: tuple[str, str] = ("0", "1")
    look_again_seconds: float = 600.0
    poll_interval: str = "1s"

    def settings(self, url: str = "", name: str = "default") -> Settings:
        """Return the settings of the process, or of one target."""
        shard, shards = self.shard
        given = settings_of(
            STATE_PATH=str(self.path),
            POLL_INTERVAL=self.poll_interval,
            STALE_AFTER="1h",
            HOLD="0s",
            SHARD=shard,
            SHARDS=shards,
        )
        changes = {"api_url": url, "target": name, "request_attempts": 1}
        return given.model_copy(update=changes)

    def add(self, name: str, prefect: MisbehavingPrefect) -> None:
        """Let there be a target."""
        self.targets.append(Target(self.settings(prefect.url, name)))

    def load(self) -> Targets:
        """Return the targets as they are now."""
        if self.told:
            raise self.told
        return Targets(tuple(self.targets), dict(self.budgets))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Run the service."""
        async with Service(self.settings(), self.load, self.look_again_seconds) as service:
            task = asyncio.create_task(service.run())
            try:
                yield service
            finally:
                task.cancel()
                await asyncio.wait([task])


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path / "ledger")


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


def samples(service: Service) -> dict[str, float]:
    """Return what is published."""
    lines = plain(service.exposition().text).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in pairs}


def completed(service: Service, target: str) -> float | None:
    """Return how many runs of a target are counted as completed; None without such a series."""
    series = (
        'prefect_flow_runs_finished_total{deployment="nightly",flow="etl",outcome="completed",'
        f'subflow="false",target="{target}"}}'
    )
    return samples(service).get(series)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what holds has no event to wait for
            await asyncio.sleep(0.02)


def ready(service: Service, target: str) -> bool:
    """Return whether every required collector of a target has polled."""
    rows = [row for row in service.status().collectors if row.target == target and row.required]
    return bool(rows) and all(row.fresh for row in rows)


def a_run(prefect: MisbehavingPrefect) -> None:
    """Let a run end now."""
    prefect.prefect.add_flow_run(at=datetime.now(UTC))


def hang_up() -> None:
    """Ask the process to look at its targets."""
    os.kill(os.getpid(), signal.SIGHUP)


def test_targets_are_told_apart(world: World) -> None:
    """Runs of the same flow on two servers count apart, under their target's label."""

    async def check() -> tuple[float | None, float | None]:
        async with MisbehavingPrefect() as one, MisbehavingPrefect() as two:
            world.add("one", one)
            world.add("two", two)
            async with world.running() as service:
                await until(lambda: ready(service, "one") and ready(service, "two"))
                a_run(one)
                a_run(one)
                a_run(two)
                await until(lambda: completed(service, "one") == 2)
                await until(lambda: completed(service, "two") == 1)
                return completed(service, "one"), completed(service, "two")

    assert (2.0, 1.0) == asyncio.run(check())


@pytest.mark.parametrize("fault", [Fault.NEVER_ANSWERS, Fault.REFUSED, Fault.HUGE])
def test_broken_target_delays_no_other(world: World, fault: Fault) -> None:
    """While one target hangs, refuses or floods, the other's runs show as soon as ever."""

    async def check() -> tuple[bool, bool, float | None]:
        async with MisbehavingPrefect() as good, MisbehavingPrefect() as bad:
            world.add("bad", bad)
            world.add("good", good)
            await bad.misbehave(fault)
            with capture_logs():
                async with world.running() as service:
                    await until(lambda: ready(service, "good"))
                    a_run(good)
                    await until(lambda: completed(service, "good") == 1)
                    return ready(service, "good"), ready(service, "bad"), completed(service, "bad")

    assert (True, False, None) == asyncio.run(check())


def test_target_is_added_and_removed_at_work(world: World) -> None:
    """SIGHUP takes up a new target and drops a gone one; the others' counters go on."""

    async def check() -> list[float | None]:
        async with AsyncExitStack() as stack:
            one, two, three = [
                await stack.enter_async_context(MisbehavingPrefect()) for _ in range(3)
            ]
            world.add("one", one)
            world.add("two", two)
            service = await stack.enter_async_context(world.running())
            await until(lambda: ready(service, "one") and ready(service, "two"))
            a_run(one)
            a_run(two)
            await until(lambda: completed(service, "one") == completed(service, "two") == 1)
            polled = {row.name: row.polls for row in service.status().collectors}
            world.targets.pop()
            world.add("three", three)
            hang_up()
            await until(lambda: ready(service, "three"))
            await until(lambda: completed(service, "two") is None)
            a_run(one)
            await until(lambda: completed(service, "one") == 2)
            rows = [row for row in service.status().collectors if row.target == "one"]
            assert all(row.polls >= polled[row.name] for row in rows)
            asked = len(two.requests)
            await until(lambda: len(three.requests) > 50)
            assert asked == len(two.requests)
            return [completed(service, "two"), completed(service, "one")]

    assert [None, 2.0] == asyncio.run(check())


def test_removed_target_comes_back_with_its_counts(world: World) -> None:
    """What ended while a target was out of the file is counted once it is back; nothing twice."""

    async def check() -> float | None:
        async with MisbehavingPrefect() as one, MisbehavingPrefect() as two:
            world.add("one", one)
            world.add("two", two)
            async with world.running() as service:
                await until(lambda: ready(service, "two"))
                a_run(two)
                await until(lambda: completed(service, "two") == 1)
                gone = world.targets.pop()
                hang_up()
                await until(lambda: completed(service, "two") is None)
                a_run(two)
                world.targets.append(gone)
                hang_up()
                await until(lambda: completed(service, "two") == 2)
                return completed(service, "two")

    assert 2.0 == asyncio.run(check())


def test_last_target_of_a_shard_leaves_the_page(world: World) -> None:
    """What is removed goes from `/metrics` also where nothing polls any more."""
    world.poll_interval = "10m"

    async def check() -> None:
        async with MisbehavingPrefect() as prefect:
            world.add("one", prefect)
            async with world.running() as service:
                await until(lambda: all(row.polls for row in service.status().collectors))
                version = 0
                while version < service.exposition().version:
                    version = service.exposition().version
                    await asyncio.sleep(3 * GATHER_SECONDS)
                world.targets.clear()
                hang_up()
                await until(
                    lambda: not any('target="one"' in series for series in samples(service))
                )
                assert 1 == samples(service)['prefect_exporter_config_reload_success{target=""}']

    asyncio.run(check())


def test_changed_target_goes_on_counting(world: World) -> None:
    """A target that moves to another address keeps its counters, and its old address is left."""

    async def check() -> tuple[float | None, int]:
        async with MisbehavingPrefect() as old, MisbehavingPrefect(prefect=old.prefect) as new:
            world.add("one", old)
            async with world.running() as service:
                await until(lambda: ready(service, "one"))
                a_run(old)
                await until(lambda: completed(service, "one") == 1)
                world.targets.clear()
                world.add("one", new)
                hang_up()
                await until(lambda: len(new.requests) > 0)
                asked = len(old.requests)
                a_run(new)
                await until(lambda: completed(service, "one") == 2)
                return completed(service, "one"), len(old.requests) - asked

    assert (2.0, 0) == asyncio.run(check())


def test_unusable_file_changes_nothing(world: World) -> None:
    """The last good targets go on, one line and a metric say what is wrong, until it is mended."""
    success = 'prefect_exporter_config_reload_success{target="one"}'

    async def check() -> list[dict[str, object]]:
        async with MisbehavingPrefect() as one:
            world.add("one", one)
            with capture_logs() as logs:
                async with world.running() as service:
                    await until(lambda: ready(service, "one"))
                    world.told = BadSettings(("targets.yaml: line 3: …",))
                    hang_up()
                    await until(lambda: samples(service).get(success) == 0)
                    hang_up()
                    a_run(one)
                    await until(lambda: completed(service, "one") == 1)
                    told = service.status().configuration.problems
                    assert ("targets.yaml: line 3: …",) == told
                    world.told = None
                    hang_up()
                    await until(lambda: samples(service).get(success) == 1)
            return [dict(line) for line in logs if line["event"].startswith("targets.")]

    (line,) = asyncio.run(check())

    assert ("targets.rejected", ("targets.yaml: line 3: …",)) == (line["event"], line["problems"])


def test_change_is_taken_up_without_a_signal(world: World) -> None:
    """A file that changed is found by looking now and then."""
    world.look_again_seconds = 0.1

    async def check() -> None:
        async with MisbehavingPrefect() as one, MisbehavingPrefect() as two:
            world.add("one", one)
            async with world.running() as service:
                await until(lambda: ready(service, "one"))
                world.add("two", two)
                await until(lambda: ready(service, "two"))

    asyncio.run(check())


def test_shard_reads_its_own_targets_alone(world: World) -> None:
    """A process that is one of two never asks what belongs to the other."""
    world.shard = ("1", "2")
    names = ["production", "staging", "research", "analytics"]
    own = [name for name in names if owner(name, 2) == 1]

    async def check() -> list[str]:
        async with MisbehavingPrefect() as prefect:
            for name in names:
                world.add(name, prefect)
            async with world.running() as service:
                return [target.name for target in service.status().targets]

    assert 0 < len(own) < len(names)
    assert own == asyncio.run(check())


def test_what_counts_is_asked_first(world: World) -> None:
    """A server that does not answer is asked for ends and starts alone, and soon for the rest."""

    async def check() -> set[str]:
        async with MisbehavingPrefect() as prefect:
            await prefect.misbehave(Fault.NEVER_ANSWERS)
            world.add("one", prefect)
            async with world.running():
                await until(lambda: asked(prefect) >= {"flow_runs/filter", "task_runs/filter"})
                # What must not come has no event to wait for; the rest comes after five seconds.
                await asyncio.sleep(1)
                first = asked(prefect)
                await until(lambda: asked(prefect) > first)
                return first

    assert {"flow_runs/filter", "task_runs/filter"} == asyncio.run(check())


def asked(prefect: MisbehavingPrefect) -> set[str]:
    """Return the routes that were asked."""
    return {request.path.partition("/api/")[2] for request in prefect.requests}


def test_targets_of_one_budget_share_it(world: World) -> None:
    """Two workspaces of one account together keep to its requests per minute."""

    async def check() -> int:
        async with MisbehavingPrefect() as one, MisbehavingPrefect() as two:
            for name, prefect in (("one", one), ("two", two)):
                settings = world.settings(prefect.url, name)
                world.targets.append(Target(settings, budget="account"))
            world.budgets["account"] = 20
            async with world.running():
                await until(lambda: len(one.requests) + len(two.requests) >= 2)
                # A tenth at once, then one in about three seconds: both targets want dozens.
                await asyncio.sleep(1.5)
                return len(one.requests) + len(two.requests)

    assert asyncio.run(check()) <= 3
