"""Failures: what fails, how often, since when, alone or together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prefect_exporter.failures.model import Basis
from prefect_exporter.report.failed import failures
from prefect_exporter.report.failing.coincidences import coincidences
from prefect_exporter.report.failing.group_findings import name
from prefect_exporter.report.failing.group_tables import categories, charts, groups_table
from prefect_exporter.report.failing.records import Verdict, records
from prefect_exporter.report.failing.tables import outcomes_table, pools_table, together_table
from prefect_exporter.report.model import Section
from prefect_exporter.report.words import count, duration, share, time
from prefect_exporter.report.workspace import Workspace


def section(workspace: Workspace) -> Section:
    """Return the groups of failures, and how flows and pools failed."""
    tables = (
        groups_table(workspace),
        outcomes_table(workspace),
        pools_table(workspace),
        together_table(workspace),
    )
    return Section(
        "failures",
        "Failures",
        tuple(_paragraphs(workspace)),
        tuple(each for each in tables if each.rows),
        tuple(charts(workspace)),
    )


def _paragraphs(workspace: Workspace) -> Iterator[str]:
    known = records(workspace, workspace.period)
    runs, failed = sum(each.runs for each in known), sum(each.failed for each in known)
    if not failed:
        yield "No flow run failed in this time."
        return
    lost = sum(each.failed_seconds for each in known)
    yield (
        f"{failed:,} of {count(runs, 'run')} that ended failed, timed out or crashed"
        f" ({share(failed / runs)}), after running for {duration(lost)} together."
    )
    yield _groups(workspace, failed)
    verdicts = Counter(each.verdict for each in known)
    yield (
        f"Broken, which is to say that every run fails since some time: {verdicts[Verdict.BROKEN]}."
        f" Flaky, which is to say that failures come and go: {verdicts[Verdict.FLAKY]}."
        f" Failed otherwise: {verdicts[Verdict.FAILED]}."
    )
    yield from _together(workspace)


def _groups(workspace: Workspace, failed: int) -> str:
    found = failures(workspace, workspace.period)
    largest = found.groups[0]
    stacks = sum(each.basis is Basis.TRACEBACK for each in found.signatures.values())
    told = ", ".join(f"{number:,} {what}" for what, number in categories(found).most_common())
    return (
        f"They are of {count(len(found.groups), 'group')}. The largest has {largest.count:,}"
        f" ({share(largest.count / failed)}): {name(largest)}. By category: {told}."
        f" {stacks:,} are known by their traceback, the others by their message."
    )


def _together(workspace: Workspace) -> Iterator[str]:
    found = coincidences(workspace)
    if found:
        worst = min(found, key=lambda each: each.p)
        yield (
            f"Times in which several flows failed together far more than by chance: {len(found):,},"
            f" most strikingly {len(worst.flows)} flows at {time(worst.period.since_us)}. That"
            " points to infrastructure, or to a system that they share."
        )
