"""The chart's rules: those of the Compose stack, with links that lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_rules import ALERTS, PATHS, PROMETHEUS, RULES, promtool
from generated import ROOT
from helm.rendering import SOURCE, Object, fails, of_kind, render

_LINKS = {"grafana": "http://grafana", "runbooks": "http://runbooks/"}
_VALUES = yaml.safe_load((SOURCE / "values.yaml").read_text())["rules"]
_EVERYTHING = {
    "links": _LINKS,
    "rules": {
        "groups": dict.fromkeys(_VALUES["groups"], True),
        "disabled": dict.fromkeys(_VALUES["disabled"], False),
    },
}
_JOB = "scripts/backup-job -n observability obs-prefect-observability-backup-run"
# What stands in Compose's texts, and what stands there instead.
_REPLACED = {
    "{{ $externalLabels.grafana_url }}": "http://grafana",
    "{{ $externalLabels.runbook_url }}": "http://runbooks",
    "docker compose exec backup prefect-backup": _JOB,
    "docker system df -v": "kubectl get pv",
    "secrets/backup_database_url": "the Secret of backup.secrets.database",
}
_BACKUP = {"backup.enabled": True, "backup.repository": "s3:https://s3.example.com/b"}
_ETCD_OBJECT = 2**20


def _folders(objects: list[Object], release: str = "obs-prefect-observability") -> dict[str, Any]:
    """Return what each folder's file of rules would hold, of either kind of object."""
    found = {
        each["metadata"]["name"].removeprefix(f"{release}-"): each["spec"]
        for each in of_kind(objects, "PrometheusRule")
    }
    for each in of_kind(objects, "ConfigMap"):
        if each["metadata"]["name"] == f"{release}-rules":
            found |= {
                name.removesuffix(".yml"): yaml.safe_load(text)
                for name, text in each["data"].items()
            }
    return found


def _rules(objects: list[Object]) -> Iterator[dict[str, Any]]:
    for folder in _folders(objects).values():
        for group in folder["groups"]:
            yield from group["rules"]


def _alerts(objects: list[Object]) -> set[str]:
    return {rule["alert"] for rule in _rules(objects) if "alert" in rule}


def _as_text(rule: Any) -> str:  # noqa: ANN401  YAML's
    return json.dumps(rule, sort_keys=True)


@pytest.mark.parametrize("kind", ["prometheusRule", "configMap"])
def test_rules_are_those_of_compose(kind: str) -> None:
    """Each rule is there, word for word, but for the addresses that its links begin with."""
    objects = render(values=_EVERYTHING, sets={"rules.as": kind})
    compose = [_as_text(dict(rule.fields)) for rule in RULES]
    for there, here in _REPLACED.items():
        compose = [text.replace(there, here) for text in compose]

    assert sorted(compose) == sorted(_as_text(rule) for rule in _rules(objects))


def test_groups_are_those_of_compose() -> None:
    """Groups keep their names and intervals, each in the object of its folder."""
    folders = _folders(render(values=_EVERYTHING))
    made = {
        (folder, group["name"], group.get("interval"))
        for folder, content in folders.items()
        for group in content["groups"]
    }
    compose = {
        (path.parent.name, group["name"], group.get("interval"))
        for path in PATHS
        for group in yaml.safe_load((PROMETHEUS / "rules" / path).read_text())["groups"]
    }

    assert compose == made


@pytest.mark.real
def test_prometheus_takes_what_is_rendered(tmp_path: Path) -> None:
    """Promtool finds nothing to complain of, and Compose's own tests of a folder pass with it."""
    rendered = tmp_path / "rules"
    for folder, content in _folders(render(values=_EVERYTHING)).items():
        files = {
            rule.group: rendered / rule.path for rule in RULES if rule.path.parent.name == folder
        }
        for group in content["groups"]:
            path = files[group["name"]]
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = yaml.safe_load(path.read_text())["groups"] if path.exists() else []
            path.write_text(yaml.safe_dump({"groups": [*kept, group]}))
    shutil.copytree(PROMETHEUS / "tests" / "flows", tmp_path / "tests" / "flows")
    tests = sorted((tmp_path / "tests" / "flows").glob("*.yml"))

    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *rendered.rglob("*.yml"))
    tested = promtool("test", "rules", *tests)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    "links", [{}, _LINKS, {"grafana": "https://g.example.com/a/"}], ids=["none", "both", "grafana"]
)
def test_no_link_leads_nowhere(links: dict[str, str]) -> None:
    """A link has an address at its beginning, or is not there; the runbook always is."""
    alerts = [rule for rule in _rules(render(values={"links": links})) if "alert" in rule]
    written = [
        each
        for rule in alerts
        for name, each in rule["annotations"].items()
        if name.endswith("_url")
    ]

    assert [] == [
        each for each in written if not re.match(r"https?://[^/]+(/[^/]+)*(/d/|#)[a-z]", each)
    ]
    assert "externalLabels" not in _as_text(alerts)
    assert all("runbook_url" in rule["annotations"] for rule in alerts)
    assert {("grafana" in links)} == {"dashboard_url" in rule["annotations"] for rule in alerts}


def test_alerts_by_default_are_of_what_the_chart_runs() -> None:
    """No default alert reads what others scrape in the same Prometheus, or asks for all targets."""
    alerts = [rule for rule in _rules(render()) if "alert" in rule]
    foreign = re.compile(
        r"\b(node|pg|redis|alertmanager|prometheus)_\w+|\bup(?!\{job=)\b(?=[\s{)])"
    )
    strangers = {rule["alert"] for rule in alerts if foreign.search(rule["expr"])}

    assert set() == strangers
    assert "PrefectFlowRunsLate" in {rule["alert"] for rule in alerts}


def test_commands_are_those_of_kubernetes() -> None:
    """No text tells people to use Compose, and the job that they are to start is there."""
    objects = render(values=_EVERYTHING, sets=_BACKUP)
    text = _as_text(list(_rules(objects)))
    (script, job) = {*re.findall(r"(scripts/backup-job) -n observability ([\w-]+)", text)}.pop()

    assert "docker" not in text
    assert (ROOT / script).is_file()
    assert job in {each["metadata"]["name"] for each in of_kind(objects, "CronJob")}


def test_switches_cover_the_folders() -> None:
    """Every folder of rules has a switch, and no other has."""
    assert {path.parent.name for path in PATHS} == _VALUES["groups"].keys()


def test_an_alert_can_be_switched_off_and_on() -> None:
    """One name more is off, and those that are off by default stay so; a false brings one back."""
    before = _alerts(render())
    after = _alerts(
        render(values={"rules": {"disabled": {"PrefectFlowRunsLate": True, "Watchdog": False}}})
    )

    assert ({"PrefectFlowRunsLate"}, {"Watchdog"}) == (before - after, after - before)


def test_misspelt_alert_is_told() -> None:
    """Who switches off what is no alert hears so, in place of hearing the alert."""
    told = fails(values={"rules": {"disabled": {"PrefectFlowRunLate": True}}})

    assert "rules.disabled: PrefectFlowRunLate is none of the alerts" in told


def test_labels_are_added_to_alerts_alone() -> None:
    """Recorded series keep their labels, by which rules are joined; an alert's own labels win."""
    objects = render(sets={"rules.additionalRuleLabels": {"cluster": "prod-eu"}})
    labelled = {"alert" in rule: rule.get("labels", {}).get("cluster") for rule in _rules(objects)}

    assert {True: "prod-eu", False: None} == labelled


def test_labels_that_route_cannot_be_replaced() -> None:
    """A team for all alerts would take them from their owners, so the schema refuses it."""
    assert "additionalRuleLabels" in fails(sets={"rules.additionalRuleLabels": {"team": "me"}})


def test_alerts_are_of_the_namespace_of_an_alertmanagerconfig() -> None:
    """The operator lets such a resource tell only of alerts with the label of its namespace."""
    told = {"alertmanager": {"as": "alertmanagerConfig"}}
    labels = [
        rule["labels"].get("namespace") for rule in _rules(render(values=told)) if "alert" in rule
    ]
    plain = [rule["labels"].keys() for rule in _rules(render()) if "alert" in rule]

    assert {"observability"} == set(labels)
    assert not any("namespace" in each for each in plain)


def test_files_of_ones_own_take_the_place_of_shipped_ones() -> None:
    """Objectives and figures are a user's own; a folder's recording rules go with it."""
    text = "groups: [{name: mine, rules: [{record: 'kpi:mine', expr: vector(1)}]}]"
    own = {"rules": {"groups": {"kpi": True}, "files": {"recording/kpi.yml": text}}}

    kpis = {
        name: [
            rule["record"] for rule in _rules(objects) if rule.get("record", "").startswith("kpi:")
        ]
        for name, objects in {"own": render(values=own), "default": render()}.items()
    }

    assert {"own": ["kpi:mine"], "default": []} == kpis


def test_file_without_groups_is_told() -> None:
    """A text that is no file of rules is refused by its name."""
    told = fails(values={"rules": {"files": {"recording/slo.yml": "objectives: {}"}}})

    assert "rules.files: recording/slo.yml is no file of rules" in told


@pytest.mark.parametrize("kind", ["prometheusRule", "configMap"])
def test_objects_are_small_enough(kind: str) -> None:
    """Kubernetes takes no ConfigMap, and etcd no object, beyond 1 MiB; half is left to grow."""
    sizes = [len(_as_text(each)) for each in render(values=_EVERYTHING, sets={"rules.as": kind})]

    assert max(sizes) < _ETCD_OBJECT / 2


def test_objects_have_the_labels_that_prometheus_selects_by() -> None:
    """Each PrometheusRule has the labels that were asked for, beside its own."""
    objects = render(sets={"rules.additionalLabels": {"release": "kps"}})
    rules = of_kind(objects, "PrometheusRule")

    assert rules
    assert {"kps"} == {each["metadata"]["labels"]["release"] for each in rules}


def test_nothing_is_made_where_rules_are_off() -> None:
    """With `none` there is no object of rules."""
    assert {} == _folders(render(sets={"rules.as": "none"}))


def test_missing_operator_is_told_by_a_cluster_alone() -> None:
    """A cluster without the API is told what to do; who renders without a cluster is not."""
    cluster = ("apiregistration.k8s.io/v1", "v1", "apps/v1")
    told = fails(sets={"monitors.as": "none"}, api_versions=cluster)

    assert "rules.as: prometheusRule: the cluster does not know monitoring.coreos.com/v1" in told
    assert "set rules.as: configMap" in told
    render(api_versions=(*cluster, "monitoring.coreos.com/v1"))


def test_page_says_of_every_alert_what_it_needs() -> None:
    """docs/kubernetes-alerts.md names each alert in its table, once."""
    page = (ROOT / "docs" / "kubernetes-alerts.md").read_text()
    (table,) = re.findall(r"^\| Alerts \|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    named = re.findall(r"`([A-Z]\w+)`", table)

    assert sorted({alert.name for alert in ALERTS}) == sorted(named)
