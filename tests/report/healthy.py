"""A workspace as most are: busy, a little noisy, and in order. No report may raise an alarm at it.

Thirty deployments over four weeks: every ten minutes, hourly, nightly, weekly; more data on working
days than on the weekend; one run of eighty fails for no reason, some are tried again, cancelled,
started by hand, or start others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from uuid import UUID

from report.world import DAY, HOUR
from report.worlds import NOW_US, WorldBuilder

DAYS = 28
MESSAGES = (
    "Flow run encountered an exception: ConnectionError: no answer from api.partner.example",
    "Flow run encountered an exception: ReadTimeout: The read operation timed out",
    "Flow run encountered an exception: KeyError: 'amount'",
    "Flow run encountered an exception: OperationalError: deadlock detected",
)
POOLS = ("docker", "k8s", "push")
FAILED, CANCELLED, RETRIED = 0.0125, 0.01, 0.02


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a deployment is due, how long it takes, how many of its kind there are."""

    name: str
    cron: str
    every: float
    seconds: float
    number: int


RHYTHMS = (
    Rhythm("ten-minutes", "*/10 * * * *", HOUR / 6, 25.0, 1),
    Rhythm("hourly", "7 * * * *", HOUR, 240.0, 6),
    Rhythm("six-hours", "11 */6 * * *", 6 * HOUR, 900.0, 5),
    Rhythm("nightly", "30 2 * * *", DAY, 2400.0, 14),
    Rhythm("weekly", "0 4 * * 1", 7 * DAY, 5400.0, 3),
)


def plant(world: WorldBuilder, seed: int, days: float = DAYS) -> None:
    """Plant it; the same seed plants the same, *days* before now."""
    random = Random(seed)
    _machines(world)
    for rhythm in RHYTHMS:
        for place in range(rhythm.number):
            _deployment(world, random, rhythm, place, days)
    _new_one(world)
    _by_hand(world, random, days)


def _machines(world: WorldBuilder) -> None:
    world.pool("docker", type="docker", limit=20)
    world.pool("k8s", type="kubernetes")
    world.pool("push", type="ecs:push")
    world.worker("docker", "docker-1")
    world.worker("k8s", "k8s-1")


def _deployment(
    world: WorldBuilder, random: Random, rhythm: Rhythm, place: int, days: float
) -> None:
    name = f"{rhythm.name}-{place}"
    flow = world.flow(name)
    pool = POOLS[place % len(POOLS)]
    deployment = world.deployment(flow, "prod", cron=rhythm.cron, pool=pool, tags=["team:data"])
    usual = rhythm.seconds * random.uniform(0.5, 1.5)
    child = world.flow(f"{name}-part") if place % 4 == 1 else None
    retries = 2 if place % 2 else 0
    ago = random.uniform(0.0, min(rhythm.every, HOUR)) + usual * 3
    while ago < days * DAY:
        _run(world, random, (flow, deployment, child), (ago, usual, retries))
        ago += rhythm.every


def _run(
    world: WorldBuilder,
    random: Random,
    what: tuple[UUID, UUID, UUID | None],
    how: tuple[float, float, int],
) -> None:
    (flow, deployment, child), (ago, usual, retries) = what, how
    seconds = usual * random.lognormvariate(0.0, 0.25) * _volume(ago)
    attempts = 2 if retries and random.random() < RETRIED else 1
    state, message = _end(random)
    run = world.run(
        flow,
        deployment,
        ended_ago=ago,
        seconds=seconds * attempts,
        state=state,
        message=message,
        wait=random.expovariate(1 / 12.0),
        attempts=attempts,
        retries=retries,
        tags=["team:data"],
    )
    if child:
        # The parent fails where its part does: one failure, two failed runs.
        world.run(
            child, ended_ago=ago, seconds=seconds / 2, state=state, message=message, parent=run
        )
    elif usual > HOUR / 4:
        world.task(run, "extract", seconds=seconds * 0.4)
        world.task(run, "load", seconds=seconds * 0.5, after=seconds * 0.4)


def _volume(ago: float) -> float:
    """Return how much data there is: on the weekend, and at night, less."""
    at_us = NOW_US - round(ago * 1_000_000)
    is_weekend = (at_us // 86_400_000_000 + 3) % 7 >= 5
    is_night = at_us % 86_400_000_000 // 3_600_000_000 < 6
    return (0.5 if is_weekend else 1.0) * (0.8 if is_night else 1.0)


def _end(random: Random) -> tuple[str, str]:
    chance = random.random()
    if chance < FAILED:
        return random.choice(("Failed", "Failed", "Failed", "Crashed")), random.choice(MESSAGES)
    if chance < FAILED + CANCELLED:
        return "Cancelled", ""
    return "Completed", ""


def _new_one(world: WorldBuilder) -> None:
    """Plant a deployment that was made yesterday, and one that was made a minute ago."""
    flow = world.flow("new")
    made = world.deployment(
        flow, "prod", cron="0 5 * * *", pool="k8s", tags=["team:data"], created_ago=DAY
    )
    world.run(flow, made, ended_ago=6 * HOUR, seconds=600)
    world.deployment(
        flow, "newest", cron="0 * * * *", pool="k8s", tags=["team:data"], created_ago=60.0
    )


def _by_hand(world: WorldBuilder, random: Random, days: float) -> None:
    """Plant runs of somebody's laptop, which fail until the code is right; and runs under way."""
    flow = world.flow("experiment")
    for ago in _spread(random, days):
        state, message = random.choice((("Completed", ""), ("Failed", MESSAGES[2])))
        world.run(flow, ended_ago=ago, seconds=30, state=state, message=message)
    world.run(flow, ended_ago=120.0, state="Running")
    world.run(flow, ended_ago=90.0, state="Paused")


def _spread(random: Random, days: float) -> Iterator[float]:
    for _ in range(6):
        yield random.uniform(0.0, days * DAY)
