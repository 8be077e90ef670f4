"""How objects are called: within bounds, without clashes, and the same in each version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.cases import CASES, objects
from helm.rendering import SOURCE, Object, load, render

_LONG = "a-release-whose-name-is-as-long-as-helm-lets-it-be-53"
_NAMES = Path(__file__).with_name("names")
_VERSION = load((SOURCE / "Chart.yaml").read_text())["version"]
# What pods and their labels are called after has to leave room for what controllers add to it.
_LONGEST = {"CronJob": 52, "StatefulSet": 52}


def test_names_are_short_enough() -> None:
    """Fit under a release with the longest name, with what controllers add."""
    assert 53 == len(_LONG)
    too_long = [
        each["metadata"]["name"]
        for each in objects("everything", release=_LONG)
        if len(each["metadata"]["name"]) > _LONGEST.get(each["kind"], 63)
    ]

    assert [] == too_long


def test_label_values_are_short_enough() -> None:
    """Label nothing with more than 63 characters."""
    values = [
        value
        for each in objects("everything", release=_LONG)
        for value in each["metadata"]["labels"].values()
    ]

    assert max(map(len, values)) <= 63


def test_two_releases_do_not_clash() -> None:
    """Install twice into one namespace, without one object that belongs to both."""
    one, other = (set(map(_key, objects("everything", release=name))) for name in ("one", "other"))

    assert set() == one & other


def test_names_of_releases_in_two_namespaces_do_not_clash() -> None:
    """Install the same release into two namespaces: what has no namespace differs by name."""
    one, other = (
        set(map(_key, objects("everything", namespace=name))) for name in ("one", "other")
    )

    assert set() == one & other


def test_names_can_be_chosen() -> None:
    """Let ``fullnameOverride`` begin every name, and ``namespaceOverride`` be every namespace."""
    sets = {"fullnameOverride": "watch", "namespaceOverride": "elsewhere"}
    found = render(sets=sets)

    assert all(each["metadata"]["name"].startswith("watch") for each in found)
    assert {"elsewhere"} == {each["metadata"]["namespace"] for each in found}


def test_release_called_like_the_chart_says_it_once() -> None:
    """Call nothing prefect-observability-prefect-observability."""
    names = {
        each["metadata"]["name"] for each in objects("default", release="prefect-observability")
    }

    assert "prefect-observability-exporter" in names


@pytest.mark.parametrize("case", CASES)
def test_earlier_names_are_kept(case: str) -> None:
    """Upgrade in place: keep every name, selector and claim of every version before.

    UPDATE_NAMES=1 writes those of the chart's own version.
    """
    now = {_key(each): _immutable(each) for each in objects(case)}
    own = _NAMES / f"{_VERSION}.yaml"
    if "UPDATE_NAMES" in os.environ:
        _record(own, case, now)

    for path in _NAMES.glob("*.yaml"):
        before = load(path.read_text(encoding="utf-8")).get(case, {})
        lost = {name for name in before if name not in now or before[name] != now[name]}
        assert set() == lost, path.name
    recorded = load(own.read_text(encoding="utf-8"))
    assert recorded[case].keys() == now.keys()


def _record(path: Path, case: str, found: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    before = load(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = yaml.safe_dump({**before, case: found}, sort_keys=True, width=120)
    path.write_text(text, encoding="utf-8")


def _immutable(each: Object) -> dict[str, Any]:
    """Return what Kubernetes lets nobody change of an object."""
    spec = each.get("spec", {})
    match each["kind"]:
        case "StatefulSet":
            keys = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
            return {key: spec.get(key) for key in keys}
        case "Deployment" | "DaemonSet":
            return {"selector": spec["selector"]}
        case "RoleBinding" | "ClusterRoleBinding":
            return {"roleRef": each["roleRef"]}
        case "Service":
            return {"clusterIP": spec.get("clusterIP", "")}
        case _:
            return {}


def _key(each: Object) -> str:
    namespace = each["metadata"].get("namespace", "")
    return f"{each['kind']} {namespace}/{each['metadata']['name']}"
