"""What the chart makes of gateway, agent and pod logs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from helm.rendering import ROOT, SOURCE, Object, fails, named, of_kind, render

NAME = "obs-prefect-observability"
SEVERAL = {"gateway.replicas": 3, "agent.enabled": True}
ALL = SEVERAL | {"podLogs.enabled": True, "jaeger.enabled": True, "loki.enabled": True}


def pod(objects: list[Object], kind: str, component: str) -> Object:
    """Return the template of a component's pods."""
    template: Object = named(objects, kind, f"{NAME}-{component}")["spec"]["template"]
    return template


def container(objects: list[Object], kind: str, component: str) -> Object:
    """Return the one container of a component's pods."""
    (found,) = pod(objects, kind, component)["spec"]["containers"]
    return dict(found)


def variables(given: Object) -> dict[str, Any]:
    """Return the variables of a container by their names, each of which is there once."""
    names = [each["name"] for each in given["env"]]
    assert len(set(names)) == len(names), names
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in given["env"]}


@pytest.mark.parametrize("component", ["gateway", "agent", "pod-logs"])
def test_files_are_those_of_compose(component: str) -> None:
    """With the default values, nothing of them is changed, and none has a secret in it."""
    data = named(render(sets=ALL), "ConfigMap", f"{NAME}-{component}")["data"]

    assert data
    for file, text in data.items():
        assert (ROOT / "deploy" / "otel-collector" / file).read_text().strip() == text.strip()


def test_agents_know_every_gateway_by_the_name_of_its_pod() -> None:
    """Names stay when pods do not; they are those that the headless Service gives."""
    objects = render(sets=SEVERAL)
    gateway = named(objects, "StatefulSet", f"{NAME}-gateway")["spec"]
    headless = named(objects, "Service", gateway["serviceName"])["spec"]

    expected = [f"{NAME}-gateway-{number}.{gateway['serviceName']}:4317" for number in range(3)]
    agent = container(objects, "DaemonSet", "agent")
    assert expected == json.loads(variables(agent)["GATEWAYS"])
    assert "None" == headless["clusterIP"]
    assert headless["publishNotReadyAddresses"]
    assert {4317} == {each["port"] for each in headless["ports"]}
    assert gateway["selector"]["matchLabels"] == headless["selector"]


def test_agents_start_again_when_gateways_become_more() -> None:
    """Else they would go on sending to those that they know."""

    def template(replicas: int) -> Object:
        return pod(render(sets=SEVERAL | {"gateway.replicas": replicas}), "DaemonSet", "agent")

    assert template(2) != template(3)


def test_telemetry_stays_on_the_node() -> None:
    """The Service leads to the node's own agent, and no port of the node is taken."""
    objects = render(sets=SEVERAL)
    ports = container(objects, "DaemonSet", "agent")["ports"]

    assert "Local" == named(objects, "Service", f"{NAME}-agent")["spec"]["internalTrafficPolicy"]
    assert {"name", "containerPort"} == set().union(*ports)
    assert "hostNetwork" not in pod(objects, "DaemonSet", "agent")["spec"]


def test_agent_is_replaced_before_it_goes() -> None:
    """A Service of the node alone leads nowhere while the node has no agent."""
    strategy = named(render(sets=SEVERAL), "DaemonSet", f"{NAME}-agent")["spec"]["updateStrategy"]

    assert {"maxSurge": 1, "maxUnavailable": 0} == strategy["rollingUpdate"]


def test_agents_may_be_a_deployment() -> None:
    """Where nodes take no DaemonSet: any of them is then as good."""
    objects = render(sets=SEVERAL | {"agent.kind": "Deployment", "agent.replicas": 4})
    kinds = {each["kind"] for each in objects if each["metadata"]["name"] == f"{NAME}-agent"}

    assert 4 == named(objects, "Deployment", f"{NAME}-agent")["spec"]["replicas"]
    assert "Cluster" == named(objects, "Service", f"{NAME}-agent")["spec"]["internalTrafficPolicy"]
    assert "PodDisruptionBudget" in kinds
    assert "DaemonSet" not in kinds


@pytest.mark.parametrize(
    ("sets", "endpoints"),
    [
        ({}, (None, None)),
        (
            {"jaeger.enabled": True, "loki.enabled": True},
            (
                f"{NAME}-jaeger-collector:4317",
                "http://obs-loki.observability.svc:3100/otlp",
            ),
        ),
        (
            {
                "jaeger.enabled": True,
                "gateway.traces.endpoint": "tempo:4317",
                "gateway.logs.endpoint": "https://logs.example.com/otlp",
            },
            ("tempo:4317", "https://logs.example.com/otlp"),
        ),
    ],
    ids=["nowhere", "of this chart", "of the user"],
)
def test_backends_are_those_that_values_name(
    sets: Mapping[str, Any], endpoints: tuple[str | None, str | None]
) -> None:
    """Those of this chart are found without a setting; one of the user's wins."""
    found = variables(container(render(sets=sets), "StatefulSet", "gateway"))

    assert endpoints == (found.get("JAEGER_ENDPOINT"), found.get("LOKI_ENDPOINT"))


def test_secrets_are_in_no_configuration() -> None:
    """A header is a variable from a Secret, a certificate a file of one."""
    backend = {
        "endpoint": "tempo.example.com:4317",
        "tls": {"enabled": True, "existingSecret": "tempo-tls"},
        "headers": {"X-Scope-OrgID": {"name": "tempo", "key": "tenant"}},
    }
    objects = render(values={"gateway": {"traces": backend}})
    gateway = container(objects, "StatefulSet", "gateway")
    data = named(objects, "ConfigMap", f"{NAME}-gateway")["data"]["backends.yaml"]

    variable = "TRACES_HEADER_X_SCOPE_ORGID"
    assert {"secretKeyRef": {"name": "tempo", "key": "tenant"}} == variables(gateway)[variable]
    assert f"${{env:{variable}}}" in data
    (mount,) = [each for each in gateway["volumeMounts"] if each["name"] == "traces-tls"]
    assert f"{mount['mountPath']}/ca.crt" in data
    assert mount["readOnly"]


@pytest.mark.parametrize(
    ("limit", "taken", "collected"),
    [
        ("1Gi", "819", "655MiB"),
        ("1000Mi", "800", "640MiB"),
        ("2G", "1525", "1220MiB"),
        (1073741824, "819", "655MiB"),
        ("1.5Gi", "1228", "983MiB"),
    ],
)
def test_memory_limits_follow_that_of_the_container(
    limit: object, taken: str, collected: str
) -> None:
    """It refuses at four fifths, and collects garbage before that: it is never killed for it."""
    objects = render(sets={"gateway.resources.limits": {"memory": limit}})
    found = variables(container(objects, "StatefulSet", "gateway"))

    assert (taken, collected) == (found["MEMORY_LIMIT_MIB"], found["GOMEMLIMIT"])


def test_variable_of_the_user_wins() -> None:
    """It replaces the chart's: Kubernetes takes no name twice."""
    more = [{"name": "GOMEMLIMIT", "value": "1GiB"}, {"name": "MINE", "value": "x"}]
    found = variables(container(render(sets={"gateway.extraEnv": more}), "StatefulSet", "gateway"))

    assert ("1GiB", "x") == (found["GOMEMLIMIT"], found["MINE"])


def test_only_an_agent_that_asks_for_pods_has_a_token() -> None:
    """And it may read pods, nothing else, in the one namespace that it was given."""
    off = render(sets=SEVERAL)
    on = render(
        sets=SEVERAL
        | {
            "agent.kubernetesAttributes.enabled": True,
            "agent.kubernetesAttributes.namespace": "flows",
        }
    )
    role = named(on, "Role", f"{NAME}-agent")

    assert not of_kind(off, "Role", "ClusterRole")
    assert not pod(off, "DaemonSet", "agent")["spec"]["automountServiceAccountToken"]
    assert pod(on, "DaemonSet", "agent")["spec"]["automountServiceAccountToken"]
    assert not of_kind(on, "ClusterRole")
    assert "flows" == role["metadata"]["namespace"]
    assert [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}] == role[
        "rules"
    ]
    (subject,) = named(on, "RoleBinding", f"{NAME}-agent")["subjects"]
    account = pod(on, "DaemonSet", "agent")["spec"]["serviceAccountName"]
    assert (account, "observability") == (subject["name"], subject["namespace"])


def test_reader_of_pod_logs_is_the_only_root() -> None:
    """It sees one folder of the node, and can write nothing there; nobody talks to it."""
    objects = render(sets=ALL)
    spec = pod(objects, "DaemonSet", "pod-logs")["spec"]
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "pods"]
    folders = [each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each]

    assert ["/var/log/pods"] == folders
    assert ("/var/log/pods", True) == (mount["mountPath"], mount["readOnly"])
    assert {"drop": ["ALL"]} == spec["containers"][0]["securityContext"]["capabilities"]
    assert f"{NAME}-pod-logs" not in {
        each["metadata"]["name"] for each in of_kind(objects, "Service")
    }
    for kind, component in (("StatefulSet", "gateway"), ("DaemonSet", "agent")):
        given = pod(objects, kind, component)["spec"]
        assert given["securityContext"]["runAsNonRoot"]
        assert not [each for each in given["volumes"] if "hostPath" in each]


def test_pod_logs_are_those_of_the_release_and_of_the_namespaces_named() -> None:
    """All pods of a namespace that is named, but those that are left out."""
    sets = {"podLogs.namespaces": ["flows"], "podLogs.exclude": ["flows_noisy-*"]}
    found = variables(container(render(sets=ALL | sets), "DaemonSet", "pod-logs"))
    own = f"/var/log/pods/observability_{NAME}-*_*/*/*.log"
    read = json.loads(found["POD_LOGS"])

    assert [own, "/var/log/pods/flows_*_*/*/*.log"] == read[::2]
    assert [f"{each}.*[0-9]" for each in read[::2]] == read[1::2]
    assert "/var/log/pods/flows_noisy-*_*/*/*" in json.loads(found["POD_LOGS_EXCLUDE"])
    assert "/var/log/pods/*/container-logs/*" in json.loads(found["POD_LOGS_EXCLUDE"])
    assert f"{NAME}-agent.observability.svc:4317" == found["COLLECTOR_ENDPOINT"]


def test_openshift_chooses_the_ids() -> None:
    """A null leaves an id out."""
    ids = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    sections = {name: {"podSecurityContext": ids} for name in ("gateway", "agent")}
    objects = render(values=sections, sets=SEVERAL)

    for kind, component in (("StatefulSet", "gateway"), ("DaemonSet", "agent")):
        context = pod(objects, kind, component)["spec"]["securityContext"]
        assert not ids.keys() & context.keys()
        assert context["runAsNonRoot"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            {"gateway.replicas": 2},
            "gateway.replicas is 2 without agent.enabled: spans of one trace would go to several",
        ),
        (
            {"agent.enabled": True, "gateway.enabled": False},
            "agent.enabled is true without gateway.enabled",
        ),
        (
            {"podLogs.enabled": True, "gateway.enabled": False},
            "podLogs.enabled is true without gateway.enabled",
        ),
        ({"gateway.autoscaling": {"enabled": True}}, "gateway.autoscaling is not to be had"),
        ({"gateway.replicaCount": 2}, "gateway.replicaCount is not to be had"),
        (
            {"gateway.persistence.existingClaim": "mine"},
            "gateway.persistence.existingClaim is not to be had",
        ),
        (
            {"gateway.traces.tls.enabled": True},
            "gateway.traces.tls.enabled is true without gateway.traces.endpoint",
        ),
        (
            {"gateway.traces.tls.existingSecret": "tls", "gateway.traces.endpoint": "tempo:4317"},
            "gateway.traces.tls.existingSecret is set without gateway.traces.tls.enabled",
        ),
        (
            {"gateway.resources.limits": {"memory": "256Mi"}},
            "gateway.resources.limits.memory is 256Mi: it would take nothing. Set at least 512Mi",
        ),
        ({"gateway.replicas": 0}, "gateway.replicas"),
        ({"gateway.sampling.share": 101}, "gateway.sampling.share"),
        ({"gateway.sampling.slow": "long"}, "gateway.sampling.slow"),
        ({"gateway.traces.endpoint": "https://tempo:4317"}, "gateway.traces.endpoint"),
        ({"gateway.logs.endpoint": "loki:3100"}, "gateway.logs.endpoint"),
        ({"gateway.traces.headers": {"Authorization": "Bearer x"}}, "gateway.traces.headers"),
        ({"gateway.replica": 2}, "Additional property replica is not allowed"),
        ({"agent.kind": "Pod"}, "agent.kind"),
        ({"podLogs.namespaces": ["a/b"]}, "podLogs.namespaces"),
        ({"podLogs.exclude": ["noisy"]}, "podLogs.exclude"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_values_that_cannot_be_used_are_named(sets: Mapping[str, Any], said: str) -> None:
    """In one line, with the key, and where the schema cannot say so what to do."""
    assert said in fails(sets=sets)


def test_page_names_values_that_there_are() -> None:
    """Each key that docs/collector.md names can be set."""
    page = (ROOT / "docs" / "collector.md").read_text()
    values = yaml.safe_load((SOURCE / "values.yaml").read_text())
    keys = re.findall(r"`((?:gateway|agent|podLogs|networkPolicy)\.(?!yaml)[A-Za-z.]+)", page)

    assert keys
    assert not [key for key in keys if not known(values, key.split("."))]


def known(values: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Tell whether a key is in these values, at any depth."""
    key, *rest = path
    return key in values and (not rest or known(values[key], rest))
