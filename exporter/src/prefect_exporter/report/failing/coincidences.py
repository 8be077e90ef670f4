"""Several flows that failed within one short time, far more than by chance, and what they share.

A flow that often fails is expected to fail: each flow is held against its own share of failures
outside the window, and counts if at least half of its runs in the window failed. Only runs without
a parent count, since a subflow takes its parents along.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from prefect_exporter.moments import HOUR, MINUTE
from prefect_exporter.report.failed import failures
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.workspace import Workspace

STEPS_US = (5 * MINUTE, 30 * MINUTE, 3 * HOUR)
"""Two of them are a window, which overlaps its neighbours by half. In a long outage the short
windows beside one make failing look usual, so that longer ones are looked at as well."""

FEWEST_FLOWS = 3
"""That fail within the window: two may be unrelated."""

MOST_CHANCE = 0.001
"""How probable it may be, by the flows' own failures, that so many fail in any of the windows."""

FEWEST_RUNS = 5
"""Of a flow outside the window, so that its own share of failures is known."""

MOST_SHARE = 0.5
"""Of a flow's runs outside the window that fail: who mostly fails says nothing of it."""

COMMON_SHARE = 0.8
"""Of the failures, for what they share to be called common."""

_MOST_EXAMPLES = 5
_ENDED = "state_type IN ('COMPLETED', 'FAILED', 'CRASHED') AND parent_task_run_id = x''"
_FAILED = "SUM(state_type != 'COMPLETED')"
_SELECT_STEPS = (
    f"SELECT ended_us / ? AS step, flow_id, COUNT(*), {_FAILED} FROM flow_runs"  # noqa: S608
    f" WHERE ended_us >= ? AND ended_us < ? AND {_ENDED} GROUP BY step, flow_id ORDER BY step"
)
_SELECT_FLOWS = (
    f"SELECT flow_id, COUNT(*), {_FAILED} FROM flow_runs"  # noqa: S608 - constants
    f" WHERE ended_us >= ? AND ended_us < ? AND {_ENDED} GROUP BY flow_id"
)
_IN = f"WHERE ended_us >= ? AND ended_us < ? AND {_ENDED} ORDER BY ended_us DESC, id"
# Names of hosts where messages have them: in addresses, after "host" or an @.
_HOST = re.compile(
    r"(?:://|@|\bhost\b[ =:]{0,3}['\"]?)((?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24})\b"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """The runs of one flow that ended, and those of them that failed."""

    runs: int = 0
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.runs + other.runs, self.failed + other.failed)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.runs - other.runs, self.failed - other.failed)

    @property
    def share(self) -> float:
        """Failures of all runs; 0.0 without one."""
        return self.failed / self.runs if self.runs else 0.0


@dataclass(frozen=True, slots=True)
class Coincidence:
    """One time in which several flows failed.

    Args:
        flows: Names of those that failed and mostly do not, in order.
        failures: Of their runs.
        runs: Of all flows that ended then.
        expected: How many flows would have failed by their own failures.
        p: How probable it is that so many fail in any window of the period (Poisson).
        common: What most of the failures share, by what it is: ``work pool``, ``error``,
            ``host``, ``tag``.
        examples: Failed runs, one of each flow, five at most.
    """

    period: Period
    flows: tuple[str, ...]
    failures: int
    runs: int
    expected: float
    p: float
    common: Mapping[str, str]
    examples: tuple[bytes, ...]


@remembered
def coincidences(workspace: Workspace) -> Sequence[Coincidence]:
    """Return the times of the report's period in which flows failed together, in order."""
    period = workspace.period
    rows = workspace.database.execute(_SELECT_FLOWS, (period.since_us, period.until_us))
    flows = {flow_id: Tally(runs, failed) for flow_id, runs, failed in rows}
    windows = [
        (window, _surprise(of_it, flows))
        for step_us in STEPS_US
        for window, of_it in _windows(workspace, period, step_us)
        if len(of_it) >= FEWEST_FLOWS
    ]
    # Bonferroni's correction: with so many windows one of them is bound to surprise.
    looked = len(windows)
    striking = [(at, each) for at, each in windows if each and each.p * looked < MOST_CHANCE]
    best = _apart(sorted(striking, key=_most_striking))
    return [_coincidence(workspace, at, each, looked) for at, each in best]


def tail(count: int, expected: float) -> float:
    """Return the chance of *count* or more events where *expected* are, by Poisson."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    if count <= expected:
        return 1.0 - math.fsum(_poisson(k, expected) for k in range(count))
    total, k = 0.0, count
    while (term := _poisson(k, expected)) > total * 1e-12:
        total, k = total + term, k + 1
    return total


def _poisson(k: int, expected: float) -> float:
    return math.exp(k * math.log(expected) - expected - math.lgamma(k + 1))


class _Surprise(NamedTuple):
    flows: frozenset[bytes]
    expected: float
    p: float


def _surprise(window: Mapping[bytes, Tally], flows: Mapping[bytes, Tally]) -> _Surprise | None:
    """Return which flows failed that mostly do not, and how probable that is; None for too few."""
    if sum(2 * each.failed >= each.runs for each in window.values()) < FEWEST_FLOWS:
        return None
    failing, expected = set(), 0.0
    for flow_id, inside in window.items():
        outside = flows[flow_id] - inside
        if outside.runs < FEWEST_RUNS or outside.share > MOST_SHARE:
            continue
        # With one failure more than there was: that a flow has not failed yet is no proof of a
        # share of nought, and each that is looked at here has failed at least in the window.
        share = (outside.failed + 1) / (outside.runs + 1)
        expected += _mostly_fails(inside.runs, share)
        if 2 * inside.failed >= inside.runs:
            failing.add(flow_id)
    if len(failing) < FEWEST_FLOWS:
        return None
    return _Surprise(frozenset(failing), expected, tail(len(failing), expected))


def _mostly_fails(runs: int, share: float) -> float:
    """Return the chance that at least half of so many runs fail, each with a chance of *share*."""
    return math.fsum(_binomial(failed, runs, share) for failed in range((runs + 1) // 2, runs + 1))


def _binomial(count: int, total: int, share: float) -> float:
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return math.exp(ways + count * math.log(share) + (total - count) * math.log1p(-share))


def _windows(
    workspace: Workspace, period: Period, step_us: int
) -> Iterator[tuple[Period, Mapping[bytes, Tally]]]:
    """Return each window with runs, and the runs of each flow in it."""
    values = (step_us, period.since_us, period.until_us)
    rows = workspace.database.execute(_SELECT_STEPS, values)
    last: tuple[int, dict[bytes, Tally]] = (-2, {})
    for step, of_step in groupby(rows, key=lambda row: int(row[0])):
        now = {flow_id: Tally(runs, failed) for _, flow_id, runs, failed in of_step}
        window = Period((step - 1) * step_us, (step + 1) * step_us)
        yield window, _sum(now, last[1] if last[0] == step - 1 else {})
        last = step, now


def _sum(one: Mapping[bytes, Tally], other: Mapping[bytes, Tally]) -> Mapping[bytes, Tally]:
    none = Tally()
    return {each: one.get(each, none) + other.get(each, none) for each in {*one, *other}}


def _most_striking(found: tuple[Period, _Surprise]) -> tuple[float, int, int, int]:
    window, surprise = found
    length_us = window.until_us - window.since_us
    return surprise.p, -len(surprise.flows), length_us, window.since_us


def _apart(found: Iterable[tuple[Period, _Surprise]]) -> Sequence[tuple[Period, _Surprise]]:
    """Return those that do not overlap one before them, in the order of time."""
    apart: list[tuple[Period, _Surprise]] = []
    for window, surprise in found:
        if not any(_overlap(window, other) for other, _ in apart):
            apart.append((window, surprise))
    return sorted(apart, key=lambda each: each[0].since_us)


def _overlap(one: Period, other: Period) -> bool:
    return one.since_us < other.until_us and other.since_us < one.until_us


def _coincidence(
    workspace: Workspace, period: Period, found: _Surprise, looked: int
) -> Coincidence:
    runs = list(workspace.flow_runs(_IN, (period.since_us, period.until_us)))
    failing = [r for r in runs if r.flow_id in found.flows and r.state_type != "COMPLETED"]
    others = [run for run in runs if run.state_type == "COMPLETED"]
    return Coincidence(
        period,
        tuple(sorted(workspace.flow_name(each) for each in found.flows)),
        len(failing),
        len(runs),
        found.expected,
        min(1.0, found.p * looked),
        _common(workspace, failing, others),
        tuple({run.flow_id: run.id for run in failing}.values())[:_MOST_EXAMPLES],
    )


def _common(
    workspace: Workspace, failing: Sequence[FlowRunRow], others: Sequence[FlowRunRow]
) -> Mapping[str, str]:
    """Return what most failures share; a pool or tag of what went well meanwhile is none."""
    signatures = failures(workspace, workspace.period).signatures

    def error(run: FlowRunRow) -> Iterable[str]:
        known = signatures.get(run.id)
        return {known.type} - {""} if known else ()

    shared = {
        "work pool": _shared(failing, others, lambda run: {run.work_pool} - {""}),
        "tag": _shared(failing, others, lambda run: set(json.loads(run.tags))),
        "error": _shared(failing, (), error),
        "host": _shared(failing, (), lambda run: set(_HOST.findall(run.state_message))),
    }
    return {what: which for what, which in shared.items() if which}


def _shared(
    failing: Sequence[FlowRunRow],
    others: Sequence[FlowRunRow],
    of: Callable[[FlowRunRow], Iterable[str]],
) -> str:
    """Return what is of most failures, and of less than half of the others as large a share."""
    among = Counter(each for run in failing for each in of(run))
    elsewhere = Counter(each for run in others for each in of(run))
    for each, times in sorted(among.items(), key=lambda item: (-item[1], item[0])):
        of_failing, of_others = times / len(failing), elsewhere[each] / max(len(others), 1)
        if of_failing >= COMMON_SHARE and of_others < of_failing / 2:
            return each
    return ""
