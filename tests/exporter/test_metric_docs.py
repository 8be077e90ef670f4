"""docs/metrics.md and the code: the same metrics, and queries that Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from backup_metrics import backup_metrics
from contexts import settings_of
from prefect_exporter import report_schedule, self_metrics, traffic
from prefect_exporter.collectors import build
from prefect_exporter.durations import format_duration
from prefect_exporter.exchanges import Exchange
from prefect_exporter.metrics import Counted, Family
from prefect_exporter.traffic import Traffic, durations
from queried_metrics import queried_metrics

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
# The migration page names another exporter's metrics too, and has a test of its own.
PAGES = sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "migration.md"})
HEADING = re.compile(r"^### (`.*`)$")
COLUMNS = ["Metric", "Type", "Labels", "Meaning", "Asks", "Every", "Stability"]
# Packages, secrets, roles and a schema of the database, which are called like metrics.
PACKAGES = {"prefect_exporter", "prefect_instrumentation", "prefect_redis", "prefect_test_harness"}
SECRETS = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"])
PROBES = set(yaml.safe_load((ROOT / "deploy" / "blackbox" / "blackbox.yml").read_text())["modules"])
ROLES = {"prefect_owner", "prefect_backup", "prefect_observability"}


@dataclass(frozen=True)
class Row:
    """One metric of one collector."""

    collector: str
    name: str
    kind: str
    labels: tuple[str, ...]
    every: str


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def words(text: str) -> tuple[str, ...]:
    """Return what stands in backquotes."""
    return tuple(re.findall(r"`([^`]+)`", text))


def tables() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each line of the page's tables with the collectors that it is about."""
    collectors: tuple[str, ...] = ()
    for line in PAGE.read_text().splitlines():
        if heading := HEADING.match(line):
            collectors = words(heading[1])
        elif line.startswith("| `"):
            yield collectors, cells(line)


def documented() -> set[Row]:
    """Return what the page says."""
    return {
        Row(collector, words(name)[0], kind, words(labels), every)
        for collectors, (name, kind, labels, _meaning, _asks, every, _stability) in tables()
        for collector in collectors
        # tests/backup/test_metrics.py sees to these.
        if collector != "backup"
    }


def row(collector: str, family: Family[Any] | Counted, every: str = "-") -> Row:
    """Return what a declaration says."""
    return Row(collector, family.name, family.kind.value, family.labels, every)


def declared() -> set[Row]:
    """Return what the code has."""
    collectors = {
        row(each.name, family, format_duration(each.interval_seconds))
        for each in build(settings_of(TERMINAL_SPANS="true"))
        for family in [*_families(each.families), *each.counted]
    }
    own: list[Family[Any]] = [*self_metrics.COLLECTOR_FAMILIES, *self_metrics.PROCESS_FAMILIES]
    own += report_schedule.FAMILIES
    requests = {row("requests", each) for each in traffic.FAMILIES}
    return collectors | requests | {_request_duration()} | {row("exporter", each) for each in own}


def _families(families: tuple[Family[Any], ...]) -> tuple[Family[Any] | Counted, ...]:
    return families


def _request_duration() -> Row:
    """Read the one family that is no declaration off its samples."""
    observed = Traffic()
    observed.observe(Exchange("ready", "200", None, 0.1, 1))
    metric = durations({"test": observed})
    labels = tuple(name for name in metric.samples[-1].labels if name not in ("target", "le"))
    return Row("requests", metric.name, metric.type, labels, "-")


def test_page_and_code_have_the_same_metrics() -> None:
    """Each metric of the code stands on the page with its collector, type, labels and interval."""
    page, code = documented(), declared()

    assert (set(), set()) == (code - page, page - code)


def test_every_table_has_the_columns() -> None:
    """All tables of metrics are read alike, and each row is whole."""
    heads = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| Metric")]

    assert [COLUMNS] * len(heads) == heads
    assert {len(COLUMNS)} == {len(row) for _, row in tables()}


def test_every_metric_says_how_stable_it_is() -> None:
    """Each row ends in one of the two words, and begins with what it means."""
    assert {"STABLE", "EXPERIMENTAL"} == {row[-1] for _, row in tables()}
    assert all(row[3].endswith(".") for _, row in tables())


@pytest.mark.parametrize(
    "path",
    [*PAGES, ROOT / "README.md", ROOT / "exporter" / "README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    """No page speaks of a metric that the code does not have."""
    names = {each.name for each in declared()} | queried_metrics() | backup_metrics()
    parts = {f"{each.name}_{part}" for each in declared() for part in ("bucket", "sum", "count")}
    # `prefect_sdk_` is the instrumentation's; tests/instrumentation/test_meters_docs.py sees to it.
    # What stands beside a colon is a recorded series.
    metric = r"(?<![:\w])prefect_(?!sdk_)[a-z_]+[a-z]\b(?!:)"
    named = set(re.findall(metric, path.read_text()))

    assert set() == named - names - parts - PACKAGES - SECRETS - PROBES - ROLES
