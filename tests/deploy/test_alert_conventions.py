"""What every alert has, whoever wrote it: labels that route it, texts and links for its reader."""

from __future__ import annotations

import json
import re

from alert_rules import ALERTS, RECORDED, ROOT, Rule, each_alert

BOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RUNBOOKS = ROOT / "docs" / "alerts.md"
SEVERITIES = {"critical", "warning", "info", "none"}
ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard_url"}
OWNER = "target_flow_deployment:prefect_deployment_info:owner"


@each_alert
def test_alert_is_found_by_its_name(alert: Rule) -> None:
    """The file and its group are named as the alert, in the folder of its component."""
    assert (alert.name, alert.name) == (alert.path.stem, alert.group)
    assert alert.path.parent.name == alert.labels["component"]


@each_alert
def test_alert_can_be_routed(alert: Rule) -> None:
    """Each has a known severity, and a team: of a deployment its owner, else one written down."""
    owned = re.search(rf"group_left \([^)]*\bteam\b[^)]*\)\s*{OWNER}", alert.expr)

    assert alert.labels["severity"] in SEVERITIES
    assert ("team" in alert.labels) is (owned is None)


@each_alert
def test_alert_tells_all_that_its_reader_needs(alert: Rule) -> None:
    """There are four annotations; the summary is one short line."""
    assert alert.annotations.keys() == ANNOTATIONS
    assert len(re.sub(r"{{.*?}}", "", alert.annotations["summary"])) <= 120
    assert "\n" not in alert.annotations["summary"]


@each_alert
def test_runbook_link_leads_to_the_alert(alert: Rule) -> None:
    """The anchor is the alert's name in lower case."""
    expected = "{{ $externalLabels.runbook_url }}#" + alert.name.lower()

    assert expected == alert.annotations["runbook_url"]


def test_every_alert_has_its_runbook() -> None:
    """docs/alerts.md has a section for each alert, and for no other."""
    sections = re.findall(r"^### (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)

    assert sorted(sections) == sorted({alert.name for alert in ALERTS})


@each_alert
def test_dashboard_link_sets_variables_that_the_board_has(alert: Rule) -> None:
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
def test_labels_in_texts_come_out_of_the_expression(alert: Rule) -> None:
    """No text names a label that the expression does not keep: it would read as nothing."""
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    read = " ".join([alert.expr, *(RECORDED[each] for each in RECORDED if each in alert.expr)])

    assert set() == named - alert.labels.keys() - set(re.findall(r"\w+", read))
