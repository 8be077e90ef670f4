"""The rules in deploy/prometheus: Prometheus reads them, and each does what its test says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from contexts import settings_of
from monitoring import tool
from prefect_exporter import collectors, self_metrics, traffic
from prefect_exporter.metrics import Kind

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "alerts.md"
RULES = sorted(path.relative_to(DEPLOY / "rules") for path in (DEPLOY / "rules").glob("*/*.yml"))

COMING = {
    "prefect_backup_last_success_timestamp_seconds",
    "prefect_backup_last_run_success",
    "prefect_backup_last_restore_verified_timestamp_seconds",
    "prefect_backup_last_size_bytes",
    "prefect_backup_last_duration_seconds",
    "prefect_table_oldest_row_age_seconds",
    "prefect_table_retention_seconds",
}
"""Metrics that the backup and the queries of the database will have: silent until then."""

SEVERITIES = {"critical", "warning", "info", "none"}
ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard_url"}
OWNER = "target_flow_deployment:prefect_deployment_info:owner"

METRIC = re.compile(r"(?<![:\w])prefect_(?!sdk_)\w+(?![\w:])")
RECORDED = re.compile(r"[a-z_]+(?::\w+)+")
GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule and where it stands, below deploy/prometheus/rules."""

    path: Path
    group: str
    rule: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The alert's name."""
        return str(self.rule["alert"])

    @property
    def expr(self) -> str:
        """The alert's expression."""
        return str(self.rule["expr"])


def groups_of(path: Path) -> list[Any]:
    """Return the groups of a rule file."""
    groups: list[Any] = yaml.safe_load((DEPLOY / "rules" / path).read_text())["groups"]
    return groups


EVERY = [
    (path, group, rule) for path in RULES for group in groups_of(path) for rule in group["rules"]
]
ALERTS = [Alert(path, group["name"], rule) for path, group, rule in EVERY if "alert" in rule]
each_file = pytest.mark.parametrize("path", RULES, ids=str)
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, which comes with Prometheus."""
    command = [tool("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exported(kind: Kind | None = None) -> set[str]:
    """Return the names of the exporter's families, or of those of a kind."""
    every = collectors.every(settings_of())
    kinds = {family.name: family.kind for each in every for family in each.families}
    kinds |= {family.name: family.kind for each in every for family in each.counted}
    own = (*self_metrics.COLLECTOR_FAMILIES, *self_metrics.PROCESS_FAMILIES, *traffic.FAMILIES)
    kinds |= {family.name: family.kind for family in own}
    kinds["prefect_server_api_request_duration_seconds"] = Kind.HISTOGRAM
    return {name for name, known in kinds.items() if kind in {None, known}}


def metrics_in(expr: str) -> set[str]:
    """Return the metrics that an expression reads, of a histogram the family."""
    names = set(METRIC.findall(expr))
    histograms = exported(Kind.HISTOGRAM)
    families = {name: re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    return {family if family in histograms else name for name, family in families.items()}


def test_rules_are_read_by_prometheus() -> None:
    """Every rule file is valid."""
    done = promtool("check", "rules", *(DEPLOY / "rules" / path for path in RULES))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_file_has_a_test() -> None:
    """Each rule file has a test at the same path, and no test has lost its rules."""
    tests = DEPLOY / "tests"

    assert sorted(path.relative_to(tests) for path in tests.glob("*/*.yml")) == RULES


@each_file
def test_rules_do_what_their_test_says(path: Path) -> None:
    """The rules of a file pass their test."""
    done = promtool("test", "rules", DEPLOY / "tests" / path)

    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_rules_read_what_exists(path: Path) -> None:
    """No rule reads a metric that the exporter does not have, or a name that nothing records."""
    recorded = {rule["record"] for _, _, rule in EVERY if "record" in rule}
    exprs = [re.sub(r'"[^"]*"', "", rule["expr"]) for where, _, rule in EVERY if where == path]
    read = {name for expr in exprs for name in metrics_in(expr)}

    assert set() == read - exported() - COMING
    assert set() == {name for expr in exprs for name in RECORDED.findall(expr)} - recorded


@each_file
def test_deployments_keep_their_identity(path: Path) -> None:
    """Whatever is grouped or joined by deployment is so by target and flow too."""
    texts = [rule["expr"] for where, _, rule in EVERY if where == path]
    groupings = [re.split(r"[\s,]+", found) for text in texts for found in GROUPING.findall(text)]
    of_deployments = [set(each) for each in groupings if "deployment" in each]

    assert [] == [each for each in of_deployments if not {"target", "flow"} <= each]


@each_alert
def test_an_alert_is_found_by_its_name(alert: Alert) -> None:
    """The file, the group and the alert have one name, and the folder is the component."""
    assert (alert.path.stem, alert.path.parent.name) == (
        alert.name,
        alert.rule["labels"]["component"],
    )
    assert alert.group == alert.name


@each_alert
def test_an_alert_has_a_severity_and_a_team(alert: Alert) -> None:
    """A team is written down, or it is the owner's: of a deployment's alert never the former."""
    labels = alert.rule["labels"]
    owned = re.search(rf"group_left \([^)]*\bteam\b[^)]*\)\s*{OWNER}", alert.expr) is not None

    assert labels["severity"] in SEVERITIES
    assert owned is ("team" not in labels)


@each_alert
def test_an_alert_says_what_to_do_and_where(alert: Alert) -> None:
    """An alert has four annotations, and names from Prefect are quoted in its links."""
    annotations = alert.rule["annotations"]
    link = annotations["dashboard_url"].removeprefix("{{ $externalLabels.grafana_url }}/d/")
    dashboard = re.match(r"[a-z-]+", link)
    values = re.findall(r"\{\{ (?:\$labels)?\..*?\}\}", link)

    assert set(annotations) == ANNOTATIONS
    assert annotations["runbook_url"] == ("{{ $externalLabels.runbook_url }}#" + alert.name.lower())
    assert dashboard
    assert (ROOT / f"deploy/grafana/dashboards/{dashboard[0]}.json").is_file()
    assert all(value.endswith(" | urlquery }}") for value in values)


def test_every_alert_has_its_runbook() -> None:
    """docs/alerts.md has a section for each alert, and for no other."""
    sections = re.findall(r"^### (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)

    assert sorted(sections) == sorted({alert.name for alert in ALERTS})


@each_alert
def test_an_alert_outlives_a_gap_in_its_gauges(alert: Alert) -> None:
    """What comes from gauges, which go when the exporter dies, keeps firing for a while."""
    gauges = metrics_in(alert.expr) & exported(Kind.GAUGE)
    lasts = "keep_firing_for" in alert.rule or "_over_time(" in alert.expr

    assert lasts or not gauges
