"""What NetworkPolicies let through, as Kubernetes reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from helm.rendering import Object

Labels = dict[str, str]
Rule = dict[str, Any]


def of(policies: Sequence[Object], labels: Labels) -> list[Object]:
    """Return the policies that are about a pod with these labels."""
    return [each for each in policies if _selects(each["spec"]["podSelector"], labels)]


def may_send(
    policies: Sequence[Object],
    sender: Labels,
    receiver: Labels | None,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Return whether a pod may connect to a pod, or with None to an address that is none."""
    about = of(policies, sender)
    return not about or any(
        _lets(rule, "to", receiver, port, protocol) for rule in _rules(about, "egress")
    )


def may_receive(
    policies: Sequence[Object], sender: Labels | None, receiver: Labels, port: int
) -> bool:
    """Return whether a pod takes connections of a pod; None is some pod of another namespace."""
    about = of(policies, receiver)
    return not about or any(
        _lets(rule, "from", sender, port, "TCP") for rule in _rules(about, "ingress")
    )


def open_ports(policies: Sequence[Object], receiver: Labels) -> set[int]:
    """Return the ports of a pod that some peer may connect to."""
    rules = _rules(of(policies, receiver), "ingress")
    return {each["port"] for rule in rules for each in rule["ports"]}


def _rules(policies: Sequence[Object], direction: str) -> Iterator[Rule]:
    for each in policies:
        yield from each["spec"].get(direction) or ()


def _lets(rule: Rule, key: str, peer: Labels | None, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(
        protocol == each["protocol"] and each["port"] <= port <= each.get("endPort", each["port"])
        for each in ports
    ):
        return False
    peers = rule.get(key)
    return not peers or any(_is(each, peer) for each in peers)


def _is(peer: Rule, labels: Labels | None) -> bool:
    """Return whether a pod of this namespace, or one of another for None, is meant."""
    if "namespaceSelector" in peer:
        return not peer["namespaceSelector"] and "podSelector" not in peer
    return labels is not None and _selects(peer["podSelector"], labels)


def _selects(selector: Rule, labels: Labels) -> bool:
    assert set(selector) <= {"matchLabels"}, "teach _selects about it"
    wanted: Labels = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
