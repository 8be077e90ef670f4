"""Two deployments that do the same at the same time.

The same code (entrypoint, path and pull steps), parameters, job variables, work pool and a schedule
in common: one that differs in any of these may do something else, and is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from prefect_exporter.report.cadence import words
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command, listed
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Subject, Workspace
from prefect_exporter.wire import Timing

SECTION = "environment"

FEWEST_TOGETHER = 2
"""Runs of both that were due at one time."""

_TOGETHER = (
    "SELECT count(*), sum(mine.seconds) FROM flow_runs AS mine JOIN flow_runs AS other"
    " ON other.flow_id = mine.flow_id AND other.expected_us = mine.expected_us"
    " WHERE mine.flow_id = ? AND mine.deployment_id = ? AND other.deployment_id = ?"
    " AND mine.auto_scheduled AND other.auto_scheduled"
    " AND mine.ended_us >= ? AND mine.ended_us < ?"
)
_Pair = tuple[Subject, ToldDeployment]


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find deployments beside an older one that is the same, and ran at the same times."""
    alike: dict[tuple[object, ...], list[_Pair]] = defaultdict(list)
    for subject, told in deployments(workspace):
        if told.entrypoint and not told.paused:
            for timing, parameters in _active(told):
                alike[*_code(told), timing, parameters].append((subject, told))
    found: set[Subject] = set()
    for pairs in alike.values():
        first, *others = sorted(pairs, key=_age)
        for other in others:
            if other[0] not in found and (finding := _finding(workspace, first, other)):
                found.add(other[0])
                yield finding


def _active(told: ToldDeployment) -> Sequence[tuple[Timing, bytes]]:
    schedules = [each for each in told.schedules if each.active]
    return [(each.schedule, bytes(each.parameters)) for each in schedules]


def _code(told: ToldDeployment) -> tuple[object, ...]:
    return (
        told.flow_id,
        told.entrypoint,
        told.path,
        bytes(told.pull_steps),
        bytes(told.parameters),
        # As text, which can be hashed; two orders of the keys pass for two, which accuses nobody.
        repr(told.job_variables),
        told.work_pool_name,
    )


def _age(pair: _Pair) -> tuple[float, str]:
    created = pair[1].created
    return created.timestamp() if created else 0.0, pair[1].name


def _finding(workspace: Workspace, first: _Pair, other: _Pair) -> Finding | None:
    (kept, _), (subject, told) = first, other
    period = workspace.period
    ids = (subject.flow_id, subject.deployment_id, kept.deployment_id)
    values = (*ids, period.since_us, period.until_us)
    together, seconds = workspace.database.execute(_TOGETHER, values).fetchone()
    if together < FEWEST_TOGETHER:
        return None
    name, original = workspace.name(subject), workspace.name(kept)
    timing = listed([words(each) for each, _ in _active(told)])
    links = workspace.question.links
    evidence = Evidence(
        f"Both run {told.entrypoint} in {told.work_pool_name or 'no work pool'} with the same"
        f" parameters by {timing}; {count(together, 'run')} of each were due at the same times.",
        {"runs_together": together, "hours": round(seconds / 3600, 3)},
        (
            Link(name, links.deployment(told.id)),
            Link(original, links.deployment(first[1].id)),
        ),
    )
    return Finding(
        check="deployment-duplicate",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{name} does the same as {original} at the same time",
        detail="The work is done twice, or the two get in each other's way.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "deployment", "delete", name),
            Effort.MINUTES,
            "What starts it by its name has to use the other one.",
            "Deploy it again from its source.",
        ),
        hours=round(seconds / 3600 / period.weeks, 3),
        owner=workspace.owner(subject),
    )
