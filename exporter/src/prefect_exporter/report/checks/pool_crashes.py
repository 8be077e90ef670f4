"""Runs crash in one work pool far more often than in the others: its infrastructure ends them."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import chance, command, listed
from prefect_exporter.report.places import pool_link, run_link
from prefect_exporter.report.resources.pools import Compared, by_pool, spent
from prefect_exporter.report.scope import is_narrowed
from prefect_exporter.report.statistics import Ratio, poisson_ratio
from prefect_exporter.report.words import count, share
from prefect_exporter.report.workspace import Workspace

SECTION = "resources"

FEWEST_CRASHES = 5

LEAST_RATE = 0.02
"""Share of the pool's runs: what crashes less often, retries mend."""

LEAST_RATIO = 3.0
MOST_P = 0.01
"""Against all other pools together."""

FEWEST_OTHERS = 20
"""Runs in other pools, to compare with."""

FEWEST_DEPLOYMENTS = 2
MOST_OF_ONE = 0.8
"""Share of the crashes: where nearly all are one deployment's, it is that and not the pool."""

HIGH_RATE = 0.1


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the pools whose runs crash more often than chance allows."""
    if is_narrowed(workspace):
        return
    pools = by_pool(workspace)
    for each in pools:
        others = [other for other in pools if other.names != each.names]
        runs, crashed = sum(o.runs for o in others), sum(o.crashed for o in others)
        ratio = poisson_ratio(each.crashed, each.runs, crashed, runs)
        if runs >= FEWEST_OTHERS and _is_more(each, ratio) and _is_of_many(workspace, each):
            yield _finding(workspace, each, ratio, crashed / runs)


def _is_more(each: Compared, ratio: Ratio) -> bool:
    many = each.crashed >= FEWEST_CRASHES and each.crash_rate >= LEAST_RATE
    return many and ratio.ratio >= LEAST_RATIO and ratio.p < MOST_P


def _is_of_many(workspace: Workspace, each: Compared) -> bool:
    crashes = [s.crashed for s in spent(workspace) if s.work_pool in each.names and s.crashed]
    return len(crashes) >= FEWEST_DEPLOYMENTS and max(crashes) < MOST_OF_ONE * each.crashed


def _finding(workspace: Workspace, each: Compared, ratio: Ratio, others_rate: float) -> Finding:
    (name,) = each.names
    some = [s for s in spent(workspace) if s.work_pool == name and s.crashed]
    some.sort(key=lambda s: -s.crashed)
    return Finding(
        check="pool-crashes",
        section=SECTION,
        severity=Severity.HIGH if each.crash_rate >= HIGH_RATE else Severity.MEDIUM,
        subject=f"work pool {name}",
        title=f"{share(each.crash_rate)} of the runs in work pool {name} crash",
        detail=(
            "A run crashes when its process or container ends under it: no memory, a node that"
            " goes, an image that does not start. Flows of several deployments crash here and"
            " seldom elsewhere, so that it is the pool and not their code."
        ),
        evidence=(
            Evidence(
                f"{each.crashed:,} of {count(each.runs, 'run')} crashed, {share(others_rate)} in"
                f" the other pools ({chance(ratio.p)}); most of"
                f" {listed([workspace.name(s.subject) for s in some])}.",
                {
                    "runs": each.runs,
                    "crashed": each.crashed,
                    "rate": round(each.crash_rate, 4),
                    "rate_elsewhere": round(others_rate, 4),
                    "deployments": len(some),
                    "p": ratio.p,
                },
                tuple(_links(workspace, name)),
            ),
        ),
        action=Action(
            change=_change(each.type, name),
            effort=Effort.HOURS,
            risk="None by looking; larger requests cost more.",
            rollback="Put the old job template back: prefect work-pool update.",
        ),
        failures=each.crashed / workspace.period.weeks,
    )


def _links(workspace: Workspace, pool: str) -> Iterator[Link]:
    yield pool_link(workspace, pool)
    crashed = (
        "WHERE work_pool = ? AND deployment_id <> x'' AND state_type = 'CRASHED'"
        " AND ended_us >= ? AND ended_us < ? ORDER BY ended_us DESC LIMIT 4"
    )
    values = (pool, workspace.period.since_us, workspace.period.until_us)
    for run in workspace.flow_runs(crashed, values):
        yield run_link(workspace, f"crashed run {run.name}", run.id)


def _change(kind: str, pool: str) -> str:
    look = command("prefect", "work-pool", "inspect", pool)
    if kind == "kubernetes":
        return (
            "Find out what ended the pods, then raise what they lack in the job template:"
            " kubectl get events --all-namespaces | grep -E 'OOMKill|Evict|Preempt|FailedSchedul';"
            f" {look}"
        )
    if kind == "process":
        return (
            "Look on the worker's machine for what ended the processes, then run fewer at once or"
            f" give it more memory: journalctl -k | grep -i 'out of memory'; {look}"
        )
    return f"Read the infrastructure's own log of a crashed run, then mend the job template: {look}"
