"""The chart's boards: those of the Compose stack, as Grafana's sidecar or operator takes them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from generated import ROOT
from helm.rendering import Object, fails, named, of_kind, render

_GRAFANA = ROOT / "deploy" / "grafana"
_COMPOSE = {path.stem: json.loads(path.read_text()) for path in _GRAFANA.glob("dashboards/*.json")}
_RELEASE = "obs-prefect-observability"
_PROVISION = {"enabled": True, "prometheusUrl": "http://prometheus", "lokiUrl": "http://loki"}
_LIMIT = 256 * 2**10


def _boards(objects: list[Object]) -> dict[str, Any]:
    """Return each board by its uid, of either kind of object."""
    texts = {
        name.removesuffix(".json"): text
        for each in of_kind(objects, "ConfigMap")
        for name, text in each["data"].items()
        if each["metadata"]["name"].startswith(f"{_RELEASE}-board") and name.endswith(".json")
    }
    for each in of_kind(objects, "GrafanaDashboard"):
        texts[json.loads(each["spec"]["json"])["uid"]] = each["spec"]["json"]
    return {uid: json.loads(text) for uid, text in texts.items()}


@pytest.mark.parametrize("kind", ["configMap", "grafanaDashboard"])
def test_boards_are_those_of_compose(kind: str) -> None:
    """Each board is there as it is: Helm leaves alone what Grafana has in braces."""
    found = _boards(render(sets={"dashboards.as": kind}))

    assert found == _COMPOSE
    assert "{{flow}}" in json.dumps(found)


@pytest.mark.parametrize("kind", ["configMap", "grafanaDashboard"])
def test_data_sources_are_the_users(kind: str) -> None:
    """Every panel asks the data source of the uid that was given, and no other."""
    uids = {"prometheus": "prom-1", "loki": "loki-1", "jaeger": "jaeger-1"}
    text = json.dumps(
        _boards(render(values={"dashboards": {"datasources": uids}}, sets={"dashboards.as": kind}))
    )
    asked = set(re.findall(r'"uid": "((?:loki|jaeger|prom)[^"]*)"', text))
    chosen = set(re.findall(r'"value": "(prom[^"]*)"', text))

    assert ({"loki-1", "jaeger-1"}, {"prom-1"}) == (asked, chosen)


def test_sidecar_finds_boards() -> None:
    """ConfigMaps have the label and the folder that were asked for, in its namespace."""
    values = {
        "namespace": "monitoring",
        "labels": {"dash": "yes"},
        "annotations": {"folder": "Flows"},
    }
    boards = [
        each["metadata"]
        for each in of_kind(render(values={"dashboards": values}), "ConfigMap")
        if "-board-" in each["metadata"]["name"]
    ]

    assert len(_COMPOSE) == len(boards)
    assert {("monitoring", "yes", "Flows")} == {
        (each["namespace"], each["labels"]["dash"], each["annotations"]["folder"])
        for each in boards
    }


def test_operator_puts_boards_where_it_is_told() -> None:
    """GrafanaDashboards say which Grafanas get them, and in which folder."""
    values = {"folder": "Flows", "instanceSelector": {"matchLabels": {"a": "b"}}}
    objects = render(values={"dashboards": values}, sets={"dashboards.as": "grafanaDashboard"})
    specs = [each["spec"] for each in of_kind(objects, "GrafanaDashboard")]

    assert len(_COMPOSE) == len(specs)
    assert {"Flows"} == {each["folder"] for each in specs}
    assert all(
        {"matchLabels": {"dashboards": "grafana", "a": "b"}} == each["instanceSelector"]
        for each in specs
    )


def test_a_board_can_be_left_out() -> None:
    """One board less is one object less; a name that is no board's is told."""
    left = _boards(render(values={"dashboards": {"disabled": {"prefect-kpis": True}}}))

    assert _COMPOSE.keys() - left.keys() == {"prefect-kpis"}
    assert "dashboards.disabled: kpis is none of the boards: write one of prefect-backups" in fails(
        values={"dashboards": {"disabled": {"kpis": True}}}
    )


@pytest.mark.parametrize("kind", ["configMap", "grafanaDashboard"])
def test_boards_are_small_enough(kind: str) -> None:
    """Kubernetes takes 1 MiB, but `kubectl apply` keeps a copy in an annotation, of 256 KiB."""
    sizes = [len(json.dumps(each)) for each in render(sets={"dashboards.as": kind})]

    assert max(sizes) < _LIMIT


def test_missing_operator_is_told() -> None:
    """A cluster without Grafana Operator is told which value to change."""
    cluster = ("apiregistration.k8s.io/v1", "monitoring.coreos.com/v1")
    told = fails(sets={"dashboards.as": "grafanaDashboard"}, api_versions=cluster)

    assert "set dashboards.as: configMap" in told


def _sources(objects: list[Object]) -> dict[str, Any]:
    """Return the data sources that are provisioned, by type."""
    found = named(objects, "ConfigMap", f"{_RELEASE}-board-datasources")
    listed = yaml.safe_load(found["data"]["prefect-observability.yaml"])["datasources"]
    return {each["type"]: each for each in listed}


def test_data_sources_are_linked_as_in_compose() -> None:
    """A point leads to its trace, a line to its trace and run: all but addresses is Compose's."""
    objects = render(
        values={
            "links": {"prefect": "https://prefect.example.com/"},
            "dashboards": {"provision": {**_PROVISION, "jaegerUrl": "http://jaeger"}},
        }
    )
    stack = (_GRAFANA / "provisioning" / "datasources" / "stack.yml").read_text()
    text = stack.replace("$PREFECT_UI_URL", "https://prefect.example.com")
    compose = {each["type"]: each for each in yaml.safe_load(text)["datasources"]}
    found = _sources(objects)

    assert {"prometheus", "loki", "jaeger"} == found.keys()
    for kind, source in found.items():
        assert compose[kind] | {"url": f"http://{kind}", "isDefault": False} == source


def test_data_sources_keep_their_links_under_other_uids() -> None:
    """A link from one source to another follows its uid."""
    uids = {"prometheus": "p1", "loki": "l1", "jaeger": "j1"}
    values = {"datasources": uids, "provision": {**_PROVISION, "jaegerUrl": "http://jaeger"}}
    found = _sources(render(values={"dashboards": values}))
    linked = set(re.findall(r'"datasourceUid": "(\w+)"', json.dumps(found)))

    assert ({"p1", "l1", "j1"}, {"p1", "l1", "j1"}) == (
        {each["uid"] for each in found.values()},
        linked,
    )


def test_no_link_to_prefect_without_its_address() -> None:
    """A line has no link to its run where nobody said where Prefect's pages are."""
    loki = _sources(render(values={"dashboards": {"provision": _PROVISION}}))["loki"]

    assert ["Trace", "Trace of the line"] == [
        each["name"] for each in loki["jsonData"]["derivedFields"]
    ]


def test_data_sources_without_an_address_are_told() -> None:
    """Who asks for data sources and gives no address hears which to give."""
    told = fails(sets={"dashboards.provision.enabled": True, "gateway.enabled": False})

    assert "dashboards.provision.enabled: there is no address: give prometheusUrl" in told
