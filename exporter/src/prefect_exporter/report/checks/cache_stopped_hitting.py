"""Tasks whose results used to come from the cache, and no longer do.

What Prefect tells of a cache is the state ``Cached`` alone, not the keys: of a task that never
was cached nothing can be said, of one that was and is no more it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import chance
from prefect_exporter.report.words import count, duration, time
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ("flow runs", "task runs")

FEWEST_HITS = 5
"""Before they end: fewer are no custom."""

FEWEST_MISSES = 20
"""Since the last hit."""

MOST_CHANCE = 0.001
"""How probable so many misses may be by the share of hits before."""

_SELECT = (
    "SELECT r.flow_id, r.deployment_id, t.task, t.state_name = 'Cached', t.ended_us, t.seconds,"
    " t.flow_run_id FROM task_runs t JOIN flow_runs r ON r.id = t.flow_run_id"
    " WHERE t.state_type = 'COMPLETED' AND t.ended_us >= ? AND t.ended_us < ?"
    " AND t.child_flow_run_id = x'' ORDER BY r.flow_id, r.deployment_id, t.task, t.ended_us"
)


class _Lost(NamedTuple):
    task: str
    hits: int
    before: int
    misses: int
    last_us: int
    seconds: float
    runs: tuple[bytes, ...]

    @property
    def p(self) -> float:
        """How probable so many misses are by the share of hits before."""
        return (1 - self.hits / self.before) ** self.misses

    @property
    def saved(self) -> float:
        """Seconds that the cache would have saved since, as often as it hit before."""
        return self.seconds * self.hits / self.before


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows with such tasks, each with the task that costs most."""
    period = workspace.period
    rows = workspace.database.execute(_SELECT, (period.since_us, period.until_us))
    found: dict[Subject, list[_Lost]] = {}
    for (flow_id, deployment_id, task), runs in groupby(rows, key=lambda row: row[:3]):
        lost = _lost(task, runs)
        if lost and lost.p < MOST_CHANCE:
            found.setdefault(Subject(flow_id, deployment_id), []).append(lost)
    for subject, tasks in found.items():
        yield _finding(workspace, subject, max(tasks, key=lambda each: each.saved))


def _lost(
    task: str, rows: Iterable[tuple[bytes, bytes, str, int, int, float, bytes]]
) -> _Lost | None:
    hits = before = misses = last_us = 0
    seconds, newest = 0.0, b""
    for _, _, _, hit, ended_us, took, run_id in rows:
        misses, seconds, newest = misses + 1, seconds + took, run_id
        if hit:
            hits, before, misses, seconds, last_us = hits + 1, before + misses, 0, 0.0, ended_us
    if hits < FEWEST_HITS or misses < FEWEST_MISSES:
        return None
    return _Lost(task, hits, before, misses, last_us, seconds, (newest,))


def _finding(workspace: Workspace, subject: Subject, lost: _Lost) -> Finding:
    name = workspace.name(subject)
    return Finding(
        check="cache-stopped-hitting",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"Task {lost.task} of {name} is no longer served from the cache",
        detail=(
            "It works anew in each run since. A cache key that has the task's code or a changing"
            " input in it, or results that were removed, end the hits."
        ),
        evidence=(
            Evidence(
                f"{lost.hits:,} of {count(lost.before, 'run')} of the task were Cached until"
                f" {time(lost.last_us)}, none of {lost.misses:,} since ({chance(lost.p)} by"
                f" chance). Those took {duration(lost.seconds)}.",
                {
                    "task": lost.task,
                    "hits": lost.hits,
                    "runs_before": lost.before,
                    "misses_since": lost.misses,
                    "last_hit": time(lost.last_us),
                    "seconds_since": lost.seconds,
                    "p": lost.p,
                },
                run_links(workspace, lost.runs),
            ),
        ),
        action=Action(
            f"@task(name={lost.task!r}, cache_policy=INPUTS)",
            Effort.MINUTES,
            "A result of older code is used again: set cache_expiration, or clear it at a deploy.",
            "Take the argument out again.",
        ),
        hours=lost.saved / 3600 / workspace.period.weeks,
        owner=workspace.owner(subject),
    )
