"""What every alert has, whoever wrote it: labels that route it, texts and links for its reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARDS = ROOT / "deploy" / "grafana" / "dashboards"
SEVERITIES = {"critical", "warning", "info", "none"}
ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard_url"}
# What is reckoned over a window outlives a gap by itself.
WINDOWED = re.compile(r"increase|rate\(|_over_time\(|:p\d\d|vector\(")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule, and the file it stands in."""

    path: Path
    group: str
    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    keep_firing_for: str | None


def rules() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield every rule of deploy/prometheus/rules, with its file and its group."""
    for path in sorted((PROMETHEUS / "rules").glob("*/*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from ((path, group["name"], rule) for rule in group["rules"])


def _alert(path: Path, group: str, rule: dict[str, Any]) -> Alert:
    keep = rule.get("keep_firing_for")
    return Alert(
        path, group, rule["alert"], rule["expr"], rule["labels"], rule["annotations"], keep
    )


each_alert = pytest.mark.parametrize(
    "alert",
    [
        pytest.param(_alert(path, group, rule), id=f"{path.parent.name}-{rule['alert']}")
        for path, group, rule in rules()
        if "alert" in rule
    ],
)
RECORDED = {rule["record"]: rule["expr"] for _, _, rule in rules() if "record" in rule}


@each_alert
def test_alert_is_found_by_its_name(alert: Alert) -> None:
    """The file, its group and its test are named as the alert, in the folder of its component."""
    place = f"{alert.path.parent.name}/{alert.path.name}"

    assert (alert.name, alert.name) == (alert.path.stem, alert.group)
    assert alert.path.parent.name == alert.labels["component"]
    assert f"../../rules/{place}" in (PROMETHEUS / "tests" / place).read_text()


@each_alert
def test_alert_can_be_routed(alert: Alert) -> None:
    """Each has a known severity, and a team: of a deployment its owner, else one written down."""
    assert alert.labels["severity"] in SEVERITIES
    assert ("team" in alert.labels) != ("group_left (team" in alert.expr)


@each_alert
def test_alert_tells_all_that_its_reader_needs(alert: Alert) -> None:
    """There are four annotations; the summary is one short line."""
    assert alert.annotations.keys() == ANNOTATIONS
    assert len(re.sub(r"{{.*?}}", "", alert.annotations["summary"])) <= 120
    assert "\n" not in alert.annotations["summary"]


@each_alert
def test_runbook_link_leads_to_the_alert(alert: Alert) -> None:
    """The anchor is the alert's name in lower case."""
    expected = "{{ $externalLabels.runbook_url }}#" + alert.name.lower()

    assert expected == alert.annotations["runbook_url"]


@each_alert
def test_dashboard_link_sets_variables_that_the_board_has(alert: Alert) -> None:
    """The board exists, each variable is one of its own, and each value is escaped."""
    # What is left out where a label is empty is there for this.
    url = re.sub(r"{{ (with|if|end)\b.*?}}", "", alert.annotations["dashboard_url"])
    uid, _, query = url.removeprefix("{{ $externalLabels.grafana_url }}/d/").partition("?")
    board = json.loads((BOARDS / f"{uid}.json").read_text())
    variables = {f"var-{each['name']}" for each in board["templating"]["list"]}
    given = dict(part.split("=", 1) for part in query.split("&") if part)

    assert set() == given.keys() - variables
    escaped = re.compile(r"{{ (\$labels\.\w+|\.) \| urlquery }}|[\w.-]+")
    assert [] == [value for value in given.values() if not escaped.fullmatch(value)]


@each_alert
def test_labels_in_texts_come_out_of_the_expression(alert: Alert) -> None:
    """No text names a label that the expression does not keep: it would read as nothing."""
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    read = " ".join([alert.expr, *(RECORDED[each] for each in RECORDED if each in alert.expr)])

    assert set() == named - alert.labels.keys() - set(re.findall(r"\w+", read))


@each_alert
def test_gauge_alert_outlives_a_gap(alert: Alert) -> None:
    """What is read at one moment keeps firing for a while when it can no longer be read."""
    assert alert.keep_firing_for or WINDOWED.search(alert.expr)


def test_prometheus_reads_every_folder() -> None:
    """A folder of rules that is not in rule_files would be silent."""
    read = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["rule_files"]
    folders = {path.parent.name for path in (PROMETHEUS / "rules").glob("*/*.yml")}

    assert {f"rules/{folder}/*.yml" for folder in folders} == set(read)
