"""NetworkPolicies: every connection that the product needs, and no other into it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import pytest

from helm.cases import CASES, component, objects
from helm.network import Labels, may_receive, may_send, of, open_ports
from helm.rendering import Object, containers, of_kind, pods, render

NAMESPACE = "kubernetes.io/metadata.name"
# Kubelets ask them, from outside of all policies.
_OF_THE_KUBELET = {"health"}


def _policies(made: Sequence[Object]) -> list[Object]:
    return of_kind(made, "NetworkPolicy")


def _labels(pod: Object) -> Labels:
    labels: Labels = pod["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("case", CASES)
def test_every_pod_has_a_policy_of_its_own(case: str) -> None:
    """Where there are policies, a pod is under one of its component, beside the one of all."""
    made = objects(case)
    alone = [
        name
        for name, pod in pods(made)
        if _policies(made)
        and not any(
            component(pod)
            == each["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
            for each in of(_policies(made), _labels(pod))
        )
    ]

    assert [] == alone


def test_every_pod_may_ask_for_names() -> None:
    """Names are asked for by UDP and TCP, also of servers that listen where OpenShift's do."""
    made = objects("everything")
    for _, pod in pods(made):
        for port in (53, 5353):
            for protocol in ("UDP", "TCP"):
                assert may_send(_policies(made), _labels(pod), None, port, protocol)


def test_policies_are_about_both_directions() -> None:
    """Each policy is about what comes and what goes, so that nothing is forgotten on one side."""
    kinds = [each["spec"]["policyTypes"] for each in _policies(objects("everything"))]

    assert [["Ingress", "Egress"]] * len(kinds) == kinds


def _inner_connections(made: Sequence[Object]) -> Iterator[tuple[str, Labels, str, int]]:
    """Give each address of the release's own Services that a pod is told of, with the pod."""
    names = sorted((each["metadata"]["name"] for each in of_kind(made, "Service")), key=len)
    address = re.compile(rf"\b({'|'.join(reversed(names))})\b[a-z0-9.-]*:(\d+)")
    for name, pod in pods(made):
        for each in containers(pod):
            told = json.dumps([each.get("env", ()), each.get("args", ())])
            for service, port in address.findall(told):
                yield name, _labels(pod), service, int(port)


@pytest.mark.parametrize("case", ["default", "full", "everything"])
def test_what_pods_are_told_of_they_reach(case: str) -> None:
    """An address of this release in a pod's variables is reached: neither side refuses."""
    made = objects(case)
    by_name = {each["metadata"]["name"]: each for each in of_kind(made, "Service")}
    connections = list(_inner_connections(made))
    for name, sender, service, port in connections:
        for receiver in _behind(made, by_name[service]):
            target = _target_port(made, by_name[service], port)
            told = f"{name} to {service}:{port}"
            assert may_send(_policies(made), sender, receiver, target), told
            assert may_receive(_policies(made), sender, receiver, target), told

    assert connections


def _behind(made: Sequence[Object], service: Object) -> list[Labels]:
    found = [
        _labels(pod)
        for _, pod in pods(made)
        if service["spec"]["selector"].items() <= _labels(pod).items()
    ]
    assert found, service["metadata"]["name"]
    return found


def _target_port(made: Sequence[Object], service: Object, port: int) -> int:
    (name,) = (each["targetPort"] for each in service["spec"]["ports"] if port == each["port"])
    if isinstance(name, int):
        return name
    for _, pod in pods(made):
        if service["spec"]["selector"].items() <= _labels(pod).items():
            for each in containers(pod):
                for given in each.get("ports", ()):
                    if name == given.get("name"):
                        return int(given["containerPort"])
    pytest.fail(f"{service['metadata']['name']}: no container has a port {name}")


def test_every_port_of_a_service_is_open_to_somebody() -> None:
    """What a Service offers, some peer may use."""
    made = objects("everything")
    shut = [
        f"{service['metadata']['name']}: {port['name']}"
        for service in of_kind(made, "Service")
        for port in service["spec"]["ports"]
        for receiver in _behind(made, service)
        if port["name"] not in _OF_THE_KUBELET
        and _target_port(made, service, port["port"]) not in open_ports(_policies(made), receiver)
    ]

    assert [] == shut


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("https://prefect.example.com/api", 443),
        ("http://prefect.example.com/api", 80),
        ("https://prefect.example.com:8443/api", 8443),
        ("http://prefect-server:4200/api", 4200),
        # A Service's port, whose pods answer at Prefect's own.
        ("http://prefect-server/api", 4200),
    ],
)
def test_prefect_is_reached_where_its_address_says(url: str, port: int) -> None:
    """The exporter may connect to the port of each target, and so may what probes it."""
    made = render(values={"targets": [{"url": url}]})
    askers = [_labels(pod) for _, pod in pods(made) if component(pod) in {"exporter", "blackbox"}]

    assert 2 == len(askers)
    assert all(may_send(_policies(made), each, None, port) for each in askers)


def test_only_those_who_are_named_may_come() -> None:
    """With peers for all kinds of callers, no other pod of the cluster gets in anywhere."""
    peers = [{"namespaceSelector": {"matchLabels": {NAMESPACE: "monitoring"}}}]
    kinds = ("monitoring", "telemetry", "pages")
    made = render(sets={f"networkPolicy.{each}": peers for each in kinds})
    stranger = {"app.kubernetes.io/name": "something-else"}
    for _, pod in pods(made):
        for port in (4317, 4318, 8888, 8889, 9115, 9877):
            assert not may_receive(_policies(made), None, _labels(pod), port)
            assert not may_receive(_policies(made), stranger, _labels(pod), port)


@pytest.mark.parametrize(
    ("component_name", "closed", "open_ports"),
    [("exporter", [4317], [9877]), ("gateway", [13133], [4317, 4318, 8888, 8889])],
)
def test_by_default_every_pod_may_come_to_what_is_served(
    component_name: str, closed: list[int], open_ports: list[int]
) -> None:
    """Without peers, pods of all namespaces reach what is for them, and nothing else."""
    made = render()
    (labels,) = (_labels(pod) for _, pod in pods(made) if component_name == component(pod))

    assert all(may_receive(_policies(made), None, labels, port) for port in open_ports)
    assert not any(may_receive(_policies(made), None, labels, port) for port in closed)


def test_what_else_may_be_reached_is_a_value() -> None:
    """Where extraEgress leads, every pod may go."""
    made = render(
        sets={"networkPolicy.extraEgress": [{"ports": [{"protocol": "TCP", "port": 3128}]}]}
    )

    assert all(may_send(_policies(made), _labels(pod), None, 3128) for _, pod in pods(made))


def test_no_pod_reaches_everything() -> None:
    """No pod but those of the backup, whose addresses are in Secrets, may go to any port."""
    made = objects("everything")
    free = {
        component(pod)
        for _, pod in pods(made)
        if may_send(_policies(made), _labels(pod), None, 6666)
    }

    assert free <= {"backup-run", "backup-drill", "backup-check", "backup-restore"}


def test_others_are_left_alone() -> None:
    """No policy is about pods that are not of this chart, such as those of its dependencies."""
    other = {"app.kubernetes.io/name": "prefect-server", "app.kubernetes.io/instance": "obs"}

    assert [] == of(_policies(render()), other)


def test_switched_off_there_is_none() -> None:
    """networkPolicy.enabled: false makes no policy at all."""
    assert [] == _policies(render(sets={"networkPolicy.enabled": False}))
