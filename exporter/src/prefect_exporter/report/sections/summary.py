"""Executive summary: how it went, what is wrong, what to do first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prefect_exporter.report.comparison import Change, changes, headline, known_since
from prefect_exporter.report.model import Column, Finding, Kind, Row, Section, Severity, Table
from prefect_exporter.report.phrases import chance, listed
from prefect_exporter.report.recommendations import Recommendation, first
from prefect_exporter.report.tables import table
from prefect_exporter.report.unread import unread
from prefect_exporter.report.words import count, duration, share, time
from prefect_exporter.report.workspace import Workspace

_NUMBERS = (Column("Number"), Column("This period"))
_COMPARED = (Column("Period before"), Column("Change"), Column("Chance"))
_FIRST = (
    Column("What is wrong"),
    Column("Change"),
    Column("Hours saved a week", Kind.HOURS),
    Column("Failures saved a week", Kind.COUNT),
    Column("Effort"),
    Column("Owner"),
)


def section(workspace: Workspace, findings: Sequence[Finding]) -> Section:
    """Return the numbers of the period, the findings by severity, and the actions to begin with."""
    tables = (_first(first(findings)), _severities(findings), _numbers(workspace))
    return Section(
        "summary",
        "Executive summary",
        tuple(_paragraphs(workspace, findings)),
        tuple(each for each in tables if each.rows),
    )


def _paragraphs(workspace: Workspace, findings: Sequence[Finding]) -> Iterator[str]:
    lacking = sorted(unread(workspace.store))
    if lacking:
        yield (
            f"This report is incomplete: {listed(lacking, len(lacking))} were not read, or not all"
            " of them. What hangs on them is not looked for, and numbers are those of what was"
            " read; the last section says why."
        )
    yield _how_it_went(workspace)
    yield from () if "flow runs" in lacking else _compared(workspace)
    if not findings:
        where = " in what was read" if lacking else ""
        yield f"Nothing was found{where} that ought to be mended."
        return
    by_severity = Counter(each.severity for each in findings)
    told = ", ".join(f"{by_severity[each]:,} {each}" for each in Severity)
    yield f"{count(len(findings), 'finding')}: {told}."


def _how_it_went(workspace: Workspace) -> str:
    period = workspace.period
    now = headline(workspace, period)
    span = f"From {time(period.since_us)} to {time(period.until_us)}"
    if not now.runs or now.success_share is None:
        return f"{span} no flow run ended."
    return (
        f"{span} {count(now.runs, 'flow run')} ended: {share(now.success_share)} of those that"
        f" succeeded or failed succeeded, {now.failures:,} failed, timed out or crashed. They ran"
        f" for {duration(now.hours * 3600)}. {now.late:,} of {now.scheduled:,} scheduled runs"
        " started late."
    )


def _compared(workspace: Workspace) -> Iterator[str]:
    if not workspace.question.compare:
        return
    if since_us := known_since(workspace):
        yield (
            f"Of the period before no run is known until {time(since_us)}, so that it is not"
            " compared: older runs were deleted, or there were none."
        )
        return
    found = changes(workspace)
    if all(each.before is None for each in found):
        yield "The period before has no runs to compare with."
        return
    notable = [each for each in found if each.is_more_than_chance]
    if notable:
        told = "; ".join(f"{each.name.lower()} {_from_to(each)}" for each in notable)
        yield f"Against the period before, changed by more than chance: {told}."
    else:
        yield "Against the period before nothing has changed by more than chance would."


def _from_to(each: Change) -> str:
    relative = f" ({each.relative:+.0%})" if each.relative is not None else ""
    return f"from {_shown(each.before, each.kind)} to {_shown(each.now, each.kind)}{relative}"


def _first(found: Sequence[Recommendation]) -> Table:
    return table(
        "Begin with",
        _FIRST,
        [
            Row(
                (
                    each.findings[0].title,
                    each.action.change,
                    each.hours,
                    each.failures,
                    str(each.action.effort),
                    listed(each.owners),
                )
            )
            for each in found
        ],
    )


def _severities(findings: Sequence[Finding]) -> Table:
    sections = list(dict.fromkeys(each.section for each in findings))
    known = Counter((each.severity, each.section) for each in findings)
    return table(
        "Findings by severity",
        (
            Column("Severity"),
            *(Column(each, Kind.COUNT) for each in ("Findings", *map(str.capitalize, sections))),
        ),
        [
            Row((str(severity), sum(numbers), *numbers))
            for severity in Severity
            if any(numbers := [known[severity, section] for section in sections])
        ],
    )


def _numbers(workspace: Workspace) -> Table:
    found = changes(workspace)
    whole = "flow runs" not in unread(workspace.store)
    compared = whole and any(each.before is not None for each in found)
    return table(
        "The period in numbers",
        (*_NUMBERS, *(_COMPARED if compared else ())),
        [Row(_number(each, compared=compared)) for each in found],
        "Chance: how often it alone would make such a difference (Poisson rate ratio; of failures,"
        " retries and late starts a run)."
        if compared
        else "",
    )


def _number(each: Change, *, compared: bool) -> tuple[str, ...]:
    now = (each.name, _shown(each.now, each.kind))
    if not compared:
        return now
    return (*now, _shown(each.before, each.kind), _difference(each), _chance(each))


def _difference(each: Change) -> str:
    if each.absolute is None:
        return ""
    sign = "+" if each.absolute >= 0 else "-"
    relative = f" ({each.relative:+.0%})" if each.relative is not None else ""
    if each.kind is Kind.SHARE:
        return f"{each.absolute * 100:+.1f} points"
    return f"{sign}{_shown(abs(each.absolute), each.kind)}{relative}"


def _chance(each: Change) -> str:
    if each.p is None:
        return "not tested"
    return (
        f"{'more than chance' if each.is_more_than_chance else 'may be chance'}, {chance(each.p)}"
    )


def _shown(value: float | None, kind: Kind) -> str:
    if value is None:
        return "none"
    if kind is Kind.SHARE:
        return share(value)
    if kind is Kind.HOURS:
        return duration(value * 3600)
    return f"{value:,.0f}"
