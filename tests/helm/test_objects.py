"""Every object of the matrix against the schemas of Kubernetes and of the operators."""

from __future__ import annotations

import functools
import json

import kubernetes_validate
import kubernetes_validate.utils
import pytest

from helm.cases import CASES, objects
from helm.crds import known, problems
from helm.rendering import Object

# It reads its files anew for each object, which is most of what it does.
kubernetes_validate.utils.schema_contents = functools.cache(
    kubernetes_validate.utils.schema_contents
)


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_knows_every_field(case: str, version: str) -> None:
    """Send no field that this version of Kubernetes would drop or refuse."""
    native = [each for each in objects(case) if not known(each)]

    assert {} == {_name(each): said for each in native if (said := _refusal(each, version))}


@pytest.mark.parametrize("case", CASES)
def test_operators_know_every_field(case: str) -> None:
    """Send no field that the operators' own definitions would drop or refuse."""
    of_operators = [each for each in objects(case) if known(each)]

    assert {} == {_name(each): said for each in of_operators if (said := problems(each))}


def test_matrix_has_objects_of_every_operator() -> None:
    """Look at each kind that the chart can make for an operator."""
    kinds = {each["kind"] for case in CASES for each in objects(case) if known(each)}

    assert kinds >= {
        "AlertmanagerConfig",
        "GrafanaDashboard",
        "PodMonitor",
        "Probe",
        "PrometheusRule",
        "ServiceMonitor",
    }


def test_unknown_field_is_refused() -> None:
    """See a misspelt field, in objects of Kubernetes and in those of an operator."""
    spec = {"selector": {}, "endpoints": [{"port": "http", "intervals": "15s"}]}
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "spec": spec}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "automount": False}

    assert "intervals" in problems({**monitor, "metadata": {}})[0]
    assert "automount" in _refusal(account, "1.34")


def _name(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def _refusal(each: Object, version: str) -> str:
    return _refused(json.dumps(each, sort_keys=True), version)


@functools.cache
def _refused(text: str, version: str) -> str:
    """Return what is wrong with an object, or nothing; most are the same in several cases."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    return ""
