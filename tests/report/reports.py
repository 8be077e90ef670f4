"""Reports made by hand, which hold one of everything that a report can hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from prefect_exporter.report.model import (
    Action,
    Chart,
    Column,
    Edge,
    Effort,
    Evidence,
    Finding,
    Graph,
    Kind,
    Link,
    Node,
    Report,
    Row,
    Scope,
    Section,
    Series,
    Severity,
    Shape,
    Table,
)

SINCE = datetime(2026, 11, 14, 12, tzinfo=UTC)
UI = "https://prefect.example/runs/flow-run/00000000-0000-4000-8000-0000000000{:02}"
DAYS = tuple((SINCE + timedelta(days=day)).strftime("%m-%d") for day in range(7))
KINDS = (
    Column("Name"),
    Column("Runs", Kind.COUNT),
    Column("Median", Kind.SECONDS),
    Column("Lost", Kind.HOURS),
    Column("Failed", Kind.SHARE),
    Column("Memory", Kind.BYTES),
    Column("Last run", Kind.TIME),
    Column("Cost", Kind.MONEY),
    Column("Example", Kind.LINK),
)


@dataclass(frozen=True)
class Texts:
    """What stands in every place that Prefect, or a person, fills."""

    name: str = "etl/nightly"
    message: str = "relation <name> does not exist"
    url: str = UI.format(1)


def report(texts: Texts | None = None, *, deployments: int = 3) -> Report:
    """Return a report; the longest of its tables has a row for each deployment."""
    own = texts or Texts()
    return Report(
        generated="2026-11-21T12:00:04Z",
        exporter_version="0.1.0",
        scope=Scope(
            target=own.name if texts else "production",
            url=own.url if texts else "https://prefect.example/api",
            since="2026-11-14T12:00:00Z",
            until="2026-11-21T12:00:00Z",
            compared_since="2026-11-07T12:00:00Z",
            flows=(own.name,) if texts else (),
            tags=(own.name,) if texts else ("team:data",),
            flow_runs=12_345,
            task_runs=98_765,
            requests=412,
            notes=(f"Automations could not be read: {own.message}.",),
        ),
        sections=_sections(own, deployments),
        findings=_findings(own),
    )


def finding(texts: Texts, severity: Severity, section: str, number: int = 1) -> Finding:
    """Return a finding."""
    return Finding(
        check="flow-broken",
        section=section,
        severity=severity,
        subject=texts.name,
        title=f"{texts.name} has failed at each of its last 14 runs",
        detail=f"Since 2026-11-20 03:00 no run has completed: {texts.message}.",
        evidence=(
            Evidence(
                text=f"14 of 14 runs failed, all with {texts.message}.",
                numbers={"failed": 14, "runs": 14, "share": 1.0, "pattern": texts.message},
                links=(Link(texts.name, texts.url), Link("deployment", UI.format(2))),
            ),
            Evidence(text="The task has no retries.", source=f"{texts.name}.py:12"),
        ),
        action=Action(
            change=f"prefect deployment pause '{texts.name}'\n# and then\n@task(retries=3)",
            effort=Effort.MINUTES,
            risk=f"Nothing runs until it is resumed: {texts.message}.",
            rollback=f"prefect deployment resume '{texts.name}'",
        ),
        hours=3.25 * number,
        failures=14.0,
        owner=texts.name if texts.name != "etl/nightly" else "data",
    )


def many_findings(number: int = 1_000) -> Report:
    """Return a report with so many findings of one check, and then one of another."""
    made = report()
    flaky = tuple(
        msgspec.structs.replace(
            finding(Texts(f"flow {each:04}/nightly"), Severity.MEDIUM, "failures"),
            check="flow-flaky",
        )
        for each in range(1, number + 1)
    )
    last = finding(Texts("rare/nightly"), Severity.LOW, "failures")
    return msgspec.structs.replace(made, findings=(*flaky, last))


def _findings(texts: Texts) -> tuple[Finding, ...]:
    low = tuple(finding(texts, Severity.LOW, "performance", each) for each in range(1, 14))
    return (
        finding(texts, Severity.HIGH, "failures"),
        finding(texts, Severity.MEDIUM, "performance"),
        finding(texts, Severity.LOW, "elsewhere"),
        *low,
    )


def _sections(texts: Texts, deployments: int) -> tuple[Section, ...]:
    return (
        Section(
            "summary",
            "Executive summary",
            ("12,345 flow runs ended, 97.2 % of them well.", f"Mend {texts.name} first."),
        ),
        Section("dependencies", "Dependencies", graphs=(_graph(texts),)),
        Section(
            "performance",
            "Performance",
            charts=tuple(_chart(shape, texts) for shape in Shape),
            tables=(_table(texts, deployments), Table("none", "Nothing", (Column("Name"),), ())),
        ),
        Section("failures", "Failures", (f"The most frequent: {texts.message}.",)),
    )


def _chart(shape: Shape, texts: Texts) -> Chart:
    return Chart(
        id=f"runs-{shape}",
        title=f"Runs a day, {shape}",
        shape=shape,
        labels=(texts.name if texts.name != "etl/nightly" else DAYS[0], *DAYS[1:]),
        series=(
            Series("completed", (120.0, 130.5, None, 90.0, 110.0, 140.0, 133.0)),
            Series(texts.name, (3.0, 1.0, 0.0, 14.0, 2.0, 0.0, float("nan"))),
        ),
        note=f"Without {texts.name}.",
    )


def _graph(texts: Texts) -> Graph:
    return Graph(
        id="who",
        title="Who starts whom",
        nodes=(
            Node("a", texts.name, "deployment", 7, 0.5, 3, Link(texts.name, texts.url)),
            Node("b", "load", "flow", runs=7),
            Node("c", "report/daily", "deployment", runs=7, failed_share=0.0),
            Node("d", "when loaded", "automation"),
            Node("e", "file.arrived", "event"),
            Node("f", "alone", "flow"),
        ),
        edges=(
            Edge("a", "b", "subflow", 7),
            Edge("b", "d", "event"),
            Edge("d", "c", "automation", 7),
            Edge("c", "b", "run_deployment", 2),
            Edge("e", "a", "event"),
        ),
        cycles=(("b", "d", "c"),),
        note=f"From {texts.name} on.",
    )


def _table(texts: Texts, deployments: int) -> Table:
    """Return a table with a column of each kind, and a row without any value."""
    link = Link(texts.name, texts.url)
    rows = [
        Row(
            (
                f"{texts.name} {number:04}",
                number * 7 % 1_000,
                0.08 * number**2,
                number / 3,
                number % 101 / 100,
                number * 1_234_567,
                (SINCE + timedelta(minutes=number)).isoformat(),
                number * 1.5,
                texts.name,
            ),
            {"Name": link, "Example": link},
        )
        for number in range(1, deployments + 1)
    ]
    empty = Row((None,) * len(KINDS))
    return Table("slowest", "Slowest deployments", KINDS, (*rows, empty), f"Of {texts.name}.")
