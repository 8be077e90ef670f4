"""The health of all targets as one value."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_exporter.health import failing, failures, pools, work
from prefect_exporter.health.model import Found, Health, Rate, TargetHealth, Tone, part_of
from prefect_exporter.health.readings import Readings
from prefect_exporter.health.verdict import Facts, overall, verdict

TARGETS_SHOWN = 25


def health_of(targets: Sequence[Readings]) -> Health:
    """Return what the page says of these targets."""
    facts = [_facts(each) for each in targets]
    ones = [_target(each) for each in facts]
    return Health(
        verdict=overall([(each.name, each.verdict) for each in ones]),
        targets=part_of([Found(ones)], _badness, TARGETS_SHOWN),
        work=part_of([each.work for each in facts], work.badness),
        pools=part_of([each.pools for each in facts], pools.badness),
        failing=part_of([each.failing for each in facts], failing.badness),
        failures=part_of(
            [failures.failures(each) for each in targets], failures.badness, failures.SHOWN
        ),
        alike=part_of(
            [failures.alike(each) for each in targets], failures.size, failures.ALIKE_SHOWN
        ),
        rate=_rate([each.rate for each in targets]),
    )


def _facts(readings: Readings) -> Facts:
    return Facts(readings, work.work(readings), pools.pools(readings), failing.failing(readings))


def _target(facts: Facts) -> TargetHealth:
    readings = facts.readings
    server, deployments = readings.state("server"), readings.state("deployments")
    return TargetHealth(
        name=readings.name,
        url=readings.url,
        ui=readings.links.base,
        version=readings.version,
        up=server.up if server else None,
        ready=server.ready if server else None,
        latency_seconds=readings.latency_seconds,
        deployments=deployments.number if deployments else None,
        verdict=verdict(facts),
    )


def _badness(row: TargetHealth) -> tuple[int, str]:
    return list(Tone).index(row.verdict.tone), row.name


def _rate(rates: Sequence[Rate]) -> Rate:
    """Return the sum of all targets' rates, minute by minute up to now."""
    return Rate(_sums([each.completed for each in rates]), _sums([each.failed for each in rates]))


def _sums(series: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the sums of series that end at the same time and may begin at different ones."""
    length = max(map(len, series), default=0)
    padded = [(0.0,) * (length - len(each)) + each for each in series]
    return tuple(map(sum, zip(*padded, strict=True)))
