"""How flows and pools failed, as tables: flaky or broken, crashed or failed, alone or together."""

from __future__ import annotations

from prefect_exporter.report.failing.coincidences import Coincidence, coincidences
from prefect_exporter.report.failing.records import USUAL_SHARE, Record, Verdict, records
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.places import pool_link, run_link, subject_link
from prefect_exporter.report.tables import table
from prefect_exporter.report.words import rfc3339, share
from prefect_exporter.report.workspace import Workspace

_ORDER = {each: place for place, each in enumerate(Verdict)}
_OUTCOMES = (
    Column("Subject"),
    Column("Verdict"),
    Column("Since", Kind.TIME),
    Column("Runs", Kind.COUNT),
    Column("Failed", Kind.COUNT),
    Column("Timed out", Kind.COUNT),
    Column("Crashed", Kind.COUNT),
    Column("Cancelled", Kind.COUNT),
    Column("Failed share", Kind.SHARE),
    Column("In a row", Kind.COUNT),
    Column("Episodes", Kind.COUNT),
    Column("Saved by a retry", Kind.COUNT),
    Column("Lost", Kind.HOURS),
    Column("Owner"),
)
_POOLS = (
    Column("Work pool"),
    Column("Runs", Kind.COUNT),
    Column("Failed", Kind.COUNT),
    Column("Crashed", Kind.COUNT),
    Column("Failed share", Kind.SHARE),
    Column("Crashed share", Kind.SHARE),
)
_TOGETHER = (
    Column("From", Kind.TIME),
    Column("Until", Kind.TIME),
    Column("Flows", Kind.COUNT),
    Column("Expected", Kind.TEXT),
    Column("p"),
    Column("Failures", Kind.COUNT),
    Column("In common"),
    Column("Which flows"),
    Column("Example", Kind.LINK),
)
_SELECT_POOLS = (
    "SELECT work_pool, COUNT(*), SUM(state_type = 'FAILED'), SUM(state_type = 'CRASHED')"
    " FROM flow_runs WHERE ended_us >= ? AND ended_us < ? AND state_type != 'CANCELLED'"
    " GROUP BY work_pool ORDER BY 4 DESC, 3 DESC, 1"
)


def outcomes_table(workspace: Workspace) -> Table:
    """Return the flows that failed or needed retries: the broken first, then the flaky."""
    found = [
        each
        for each in records(workspace, workspace.period)
        if each.verdict is not Verdict.FINE or each.retried
    ]
    found.sort(key=lambda each: (_ORDER[each.verdict], -each.failed, workspace.name(each.subject)))
    return table(
        "How flows fail",
        _OUTCOMES,
        [_outcome(workspace, each) for each in found],
        "Broken: every run fails since some time, which its failures before make improbable. Flaky:"
        " it went from success to failure three times or more, and fails more often than"
        f" {share(USUAL_SHARE)} of its runs and chance explain. Runs are without cancelled ones.",
    )


def _outcome(workspace: Workspace, record: Record) -> Row:
    known = workspace.stats.get(record.subject)
    outcomes = known.outcomes if known else {}
    broken = record.verdict is Verdict.BROKEN and record.broken_us is not None
    cells = (
        workspace.name(record.subject),
        str(record.verdict),
        rfc3339(record.broken_us or 0) if broken else None,
        record.runs,
        outcomes.get("failed", 0),
        outcomes.get("timed_out", 0),
        outcomes.get("crashed", 0),
        outcomes.get("cancelled", 0),
        record.failed_share,
        record.streak,
        record.episodes,
        record.retried,
        record.failed_seconds / 3600,
        workspace.owner(record.subject),
    )
    return Row(cells, {"Subject": subject_link(workspace, record.subject)})


def pools_table(workspace: Workspace) -> Table:
    """Return failures and crashes by pool: a crash is the machine's, a failure the flow's."""
    period = workspace.period
    rows = workspace.database.execute(_SELECT_POOLS, (period.since_us, period.until_us))
    return table(
        "Crashes and failures by work pool",
        _POOLS,
        [
            Row(
                (pool or "(none)", runs, failed, crashed, failed / runs, crashed / runs),
                {"Work pool": pool_link(workspace, pool)} if pool else {},
            )
            for pool, runs, failed, crashed in rows
        ],
        "A failed run raised an error, or ran into its time limit. A crashed one lost its process"
        " or machine. Cancelled runs are left out.",
    )


def together_table(workspace: Workspace) -> Table:
    """Return the times in which several flows failed together."""
    found = sorted(coincidences(workspace), key=lambda each: (each.p, each.period.since_us))
    return table(
        "Failures in common",
        _TOGETHER,
        [_together(workspace, each) for each in found],
        "Expected: flows that would have failed then by their own failures at other times (Poisson,"
        " corrected for the number of windows). In common: what four of five failures share.",
    )


def _together(workspace: Workspace, each: Coincidence) -> Row:
    cells = (
        rfc3339(each.period.since_us),
        rfc3339(each.period.until_us),
        len(each.flows),
        f"{each.expected:.2g}",
        f"{each.p:.1g}",
        each.failures,
        listed([f"{what} {which}" for what, which in each.common.items()], 4),
        listed(each.flows),
        "one of them",
    )
    return Row(cells, {"Example": run_link(workspace, "one of them", each.examples[0])})
