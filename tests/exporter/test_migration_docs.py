"""docs/migration.md: it covers the official exporter whole, and names nothing that is not there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contexts import settings_of
from prefect_exporter import self_metrics, traffic
from prefect_exporter.collectors import every
from prefect_exporter.metrics import Counted, Family, Kind
from prefect_exporter.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
# Of https://github.com/PrefectHQ/prometheus-prefect-exporter at e21ea9c.
OLD_METRICS = {
    "prefect_deployment_failed_flow_runs",
    "prefect_deployments_total",
    "prefect_flow_runs_ongoing_run_time",
    "prefect_flow_runs_total",
    "prefect_flow_runs_total_run_time",
    "prefect_flows_total",
    "prefect_info_deployment",
    "prefect_info_flow_runs",
    "prefect_info_flows",
    "prefect_info_work_pools",
    "prefect_info_work_queues",
    "prefect_work_pools_total",
    "prefect_work_queues_late_runs_count",
    "prefect_work_queues_total",
}
OLD_SETTINGS = {
    "ENABLE_FLOW_RUN_NAME_LABEL",
    "FAILED_RUNS_LIMIT",
    "FAILED_RUNS_OFFSET_MINUTES",
    "LOG_LEVEL",
    "MAX_RETRIES",
    "METRICS_ADDR",
    "METRICS_PORT",
    "OFFSET_MINUTES",
    "PAGINATION_ENABLED",
    "PAGINATION_LIMIT",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_API_URL",
    "PREFECT_CSRF_ENABLED",
}
METRIC = re.compile(r"\bprefect_[a-z_]+[a-z]\b")
SELECTOR = re.compile(r"\b(prefect_[a-z_]+[a-z])(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def queries() -> list[str]:
    """Return every query: the blocks, and what stands in the tables."""
    blocks = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    table = re.findall(r"`([^`]*prefect_[^`]*[({=][^`]*)`", _without_blocks(PAGE))
    return [*blocks, *table]


def _without_blocks(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def families() -> Mapping[str, set[str]]:
    """Return the labels of each metric that the exporter has, the parts of histograms too."""
    labels: dict[str, set[str]] = {}
    for family in declared():
        known = {"target", *family.labels}
        if family.kind is Kind.HISTOGRAM:
            labels[f"{family.name}_bucket"] = known | {"le"}
            labels |= {f"{family.name}_{part}": known for part in ("sum", "count")}
        else:
            labels[family.name] = known
    return labels


def declared() -> Iterator[Family[Any] | Counted]:
    """Yield what the code declares; two tag labels stand for any."""
    for collector in every(settings_of(TAG_LABELS="team,tier")):
        yield from collector.families
        yield from collector.counted
    yield from self_metrics.COLLECTOR_FAMILIES
    yield from self_metrics.PROCESS_FAMILIES
    yield from traffic.FAMILIES


def section(heading: str) -> str:
    """Return what stands below a heading."""
    return PAGE.partition(f"\n{heading}\n")[2].partition("\n#")[0]


def test_every_old_metric_has_its_queries() -> None:
    """Each of the official exporter's metrics has a section with at least one query."""
    assert OLD_METRICS == set(re.findall(r"^### `(prefect_\w+)`$", PAGE, re.MULTILINE))
    assert all("```promql" in section(f"### `{name}`") for name in OLD_METRICS)


def test_every_old_setting_is_told_of() -> None:
    """Each of the official exporter's variables stands in the first column of the table."""
    rows = [line for line in section("## Settings").splitlines() if line.startswith("| `")]

    assert OLD_SETTINGS == {
        name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }


def test_every_metric_is_an_old_one_or_exists() -> None:
    """The page speaks of no metric that neither exporter has."""
    assert set() == set(METRIC.findall(PAGE)) - OLD_METRICS - families().keys()


def test_every_setting_that_is_named_exists() -> None:
    """The page names no variable that the exporter does not read."""
    known = {field.validation_alias for field in Settings.model_fields.values()}
    named = {name.removesuffix("_FILE") for name in re.findall(r"\bPREFECT_[A-Z_]+[A-Z]\b", PAGE)}

    assert set() == named - known - OLD_SETTINGS


def _problems(query: str, known: Mapping[str, set[str]]) -> Iterator[str]:
    selected = dict(SELECTOR.findall(query))
    yield from selected.keys() - known.keys()
    labels = set().union(*(known.get(name, set()) for name in selected))
    for name, matchers in SELECTOR.findall(query):
        used = set(MATCHER.findall(matchers))
        yield from (f"{name}{{{label}}}" for label in used - known.get(name, set()))
    for group in GROUPING.findall(query):
        yield from {label.strip() for label in group.split(",")} - labels


@pytest.mark.parametrize("query", queries())
def test_query_asks_for_what_exists(query: str) -> None:
    """Every metric, matcher and grouping of a query is one that the exporter has."""
    assert [] == list(_problems(query, families()))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(prefect_flow_runs_total)", "prefect_flow_runs_total"),
        ('prefect_work_pool_paused{flow="a"}', "prefect_work_pool_paused{flow}"),
        ("sum by (flow_name) (prefect_flow_runs_late)", "flow_name"),
        ("prefect_flow_run_duration_seconds", "prefect_flow_run_duration_seconds"),
    ],
)
def test_query_that_asks_for_something_else_is_found(query: str, problem: str) -> None:
    """What checks the queries does find a wrong metric, matcher and grouping."""
    assert [problem] == list(_problems(query, families()))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Prometheus")
def test_queries_are_read_by_prometheus(tmp_path: Path) -> None:
    """Every query of the page is valid PromQL."""
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "page", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert len(rules) >= 2 * len(OLD_METRICS)
    assert done.returncode == 0, done.stderr


def test_no_table_is_cut_by_a_query() -> None:
    """Rows of a table have as many cells as its head: a bar inside a query would split one."""
    tables = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    widths = [{line.count("|") for line in table.splitlines()} for table in tables]

    assert {1} == {len(each) for each in widths}
