"""Values that are clumsy, or meant ill: nothing leaves its place, and no secret goes into view."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helm.cases import CASES, component, objects
from helm.network import may_send, of
from helm.rendering import fails, load, named, of_kind, pods, render

SLY = "x: \"y'\n  z: {{ .Values }} #"
CHART = "obs-prefect-observability"
CASSANDRA = {
    "jaeger.enabled": True,
    "jaeger.storage.type": "cassandra",
    "jaeger.storage.cassandra.servers": ["cassandra.db"],
}


@pytest.mark.parametrize(
    "path",
    [
        "namespaceOverride",
        "global.imageRegistry",
        "exporter.priorityClassName",
        "exporter.serviceAccount.name",
        "exporter.tls.existingSecret",
        "gateway.logs.tls.existingSecret",
        "jaeger.query.ingress.className",
        "backup.secrets.credentials",
        "backup.persistence.existingClaim",
        "blackbox.module",
        "existingTargets.secret",
    ],
)
def test_a_name_is_a_name(path: str) -> None:
    """What stands where a name belongs, and is none, is refused by the key's name."""
    assert f"- {path}: Does not match pattern" in fails(sets={path: SLY})


def test_names_of_digits_stay_text() -> None:
    """A name that YAML would read as a number is still the text that Kubernetes asks for."""
    digits = "1e3"
    made = render(
        values={
            "fullnameOverride": "p",
            "namespaceOverride": digits,
            "existingTargets": {"secret": digits},
            "exporter": {"priorityClassName": digits, "serviceAccount": {"name": digits}},
        },
        release="1234",
    )
    exporter = named(made, "StatefulSet", "p-exporter")
    spec = exporter["spec"]["template"]["spec"]
    targets = next(each for each in spec["volumes"] if each["name"] == "targets")

    assert digits == exporter["metadata"]["namespace"]
    assert "1234" == exporter["metadata"]["labels"]["app.kubernetes.io/instance"]
    assert [digits, digits] == [spec["priorityClassName"], spec["serviceAccountName"]]
    assert digits == targets["secret"]["secretName"]


def test_dots_of_a_release_are_not_in_the_names_of_services() -> None:
    """A release may be called prod.eu; a Service may not."""
    services = of_kind(render(release="prod.eu"), "Service")

    assert services
    assert not [each for each in services if "." in each["metadata"]["name"]]


def test_names_begin_with_a_letter() -> None:
    """Kubernetes refuses a Service whose name begins with a digit: so does the chart, at once."""
    assert "- fullnameOverride: Does not match" in fails(values={"fullnameOverride": "1-prefect"})
    with pytest.raises(AssertionError, match="have to begin with a letter"):
        render(release="1-prod")


@pytest.mark.parametrize("path", ["commonLabels", "backup.podLabels", "jaeger.collector.podLabels"])
def test_labels_that_find_pods_are_not_given_twice(path: str) -> None:
    """A label by which Services find their pods cannot be another."""
    message = fails(sets={path: {"app.kubernetes.io/component": "mine"}})

    assert f"{path}: the label app.kubernetes.io/component is the chart's own" in message


@pytest.mark.parametrize(
    "path",
    [
        "links.grafana",
        "gateway.logs.endpoint",
        "jaeger.query.prometheusUrl",
        "jaeger.storage.opensearch.url",
        "dashboards.provision.lokiUrl",
        "blackbox.targets.default",
    ],
)
def test_addresses_hold_no_password(path: str) -> None:
    """Addresses end in ConfigMaps, variables and arguments: one with a password is refused."""
    assert f"- {path}: Does not match" in fails(sets={path: "https://me:secret@example.com/x"})


def test_patterns_of_targets_stay_patterns() -> None:
    """Quotes, braces, numbers and all of Unicode come through the targets file as they are."""
    patterns = ["{{ .Values }}", "a: b #", '"', "'", "- x", "ü*", "\u200b", "!no-*", "1e3", "off"]
    targets = [
        {"name": f"t.{number}", "url": "https://example.com/api", "flows": patterns}
        for number in range(300)
    ]
    made = render(values={"targets": targets, "blackbox": {"enabled": False}})
    text = named(made, "ConfigMap", f"{CHART}-targets")["data"]["targets.yaml"]

    assert [patterns] * 300 == [each["flows"] for each in load(text)["targets"]]


@pytest.mark.parametrize("end", ["\n", "\u2028"])
def test_patterns_have_one_line(end: str) -> None:
    """What YAML takes for a line's end would break the file: it is refused by the key's name."""
    targets = [{"url": "https://example.com/api", "flows": [f"a{end}b"]}]

    assert "- targets.0.flows.0: Does not match" in fails(values={"targets": targets})


@pytest.mark.parametrize("kind", ["configMap", "secret"])
def test_targets_of_ones_own_file_are_reached_and_no_others_probed(kind: str) -> None:
    """The chart does not know the addresses in existingTargets: all ports, and no false probe."""
    made = render(sets={f"existingTargets.{kind}": "mine"})
    policies = of_kind(made, "NetworkPolicy")
    (exporter,) = (pod for _, pod in pods(made) if component(pod) == "exporter")

    assert may_send(policies, exporter["metadata"]["labels"], None, 12345)
    assert [] == of_kind(made, "Probe")


def test_reports_may_be_mailed() -> None:
    """Where reports have recipients, the ports of mail are open, and else they are not."""
    recipients: dict[str, Any] = {"existingSecret": {"name": "mine", "key": "to"}}
    for given, open_ in (({}, False), (recipients, True)):
        made = render(sets={"exporter.reportRecipients": given})
        (exporter,) = (pod for _, pod in pods(made) if component(pod) == "exporter")
        labels = exporter["metadata"]["labels"]
        assert open_ is may_send(of_kind(made, "NetworkPolicy"), labels, None, 587)


def test_job_before_an_upgrade_is_let_out() -> None:
    """Cassandra's job runs before the policies change, so its own comes first, with DNS."""
    made = render(sets=CASSANDRA)
    job = next(each for each in of_kind(made, "Job"))
    labels = job["spec"]["template"]["metadata"]["labels"]
    before = [
        each
        for each in of(of_kind(made, "NetworkPolicy"), labels)
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    (hook,) = (each["metadata"]["annotations"] for each in before)
    jobs = job["metadata"]["annotations"]

    assert hook["helm.sh/hook"] == jobs["helm.sh/hook"]
    assert int(hook["helm.sh/hook-weight"]) < int(jobs.get("helm.sh/hook-weight", 0))
    assert may_send(before, labels, None, 9042)
    assert may_send(before, labels, None, 53, "UDP")


@pytest.mark.parametrize("case", CASES)
def test_a_broken_image_is_replaced_by_a_good_one(case: str) -> None:
    """Kubernetes waits for ever for a pod that never was ready, unless pods come in parallel."""
    sets = of_kind(objects(case), "StatefulSet")

    assert ["Parallel"] * len(sets) == [each["spec"]["podManagementPolicy"] for each in sets]


def test_right_to_read_pods_is_not_everybodys() -> None:
    """Without an account of its own the agent would share its right with the whole namespace."""
    values = {
        "agent": {
            "enabled": True,
            "kubernetesAttributes": {"enabled": True},
            "serviceAccount": {"create": False},
        }
    }

    assert "every pod of the namespace" in fails(values=values)


def test_pod_of_helm_test_stays() -> None:
    """`helm test --logs` reads its lines when it has ended."""
    pod = named(render(), "Pod", f"{CHART}-tests")

    assert "before-hook-creation" == pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"]


def test_secrets_of_values_are_in_secrets_alone() -> None:
    """A credential that stands in the values is in one Secret, and nowhere else."""
    credentials = {
        "apiKey": {"value": "marker-1"},
        "authString": {"value": "marker-2"},
        "headers": {"value": {"X-Key": "marker-3"}},
    }
    target = {"name": "a..b", "url": "https://example.com/api", "credentials": credentials}
    made = render(values={"targets": [target]})
    holding = [each for each in made if "marker-" in json.dumps(each)]

    assert ["Secret"] == [each["kind"] for each in holding]
    assert ".." not in holding[0]["metadata"]["name"]
