"""The jobs beside Jaeger: who deletes old indices, and who makes Cassandra's tables."""

from __future__ import annotations

from typing import Any

import pytest

from helm.jaeger import CERTIFICATES, STORES, container, rendered, values, variables
from helm.rendering import Object, fails, of_kind, pods, render

SEARCH = STORES["opensearch"]["opensearch"]
CASSANDRA = STORES["cassandra"]["cassandra"]


def pod(objects: list[Object], kind: str) -> Object:
    """Return the pod of the one object of a kind."""
    (found,) = [
        pod for name, pod in pods(objects) if name.startswith(f"{kind}/") and "jaeger" in name
    ]
    return found


@pytest.mark.parametrize(
    ("retention", "days"), [("1h", "2"), ("24h", "2"), ("25h", "3"), ("168h", "8")]
)
def test_indices_are_deleted_with_the_retention(retention: str, days: str) -> None:
    """The day on which the retention ends stays, so that no span goes before its time."""
    args = container(pod(rendered("opensearch", retention=retention), "CronJob"))["args"]

    assert args[-2:] == [days, SEARCH["url"]]


def test_cleaner_logs_in_as_jaeger_does() -> None:
    """The cleaner has the same user, the password by reference, and the same certificates."""
    cleaner = pod(rendered("opensearch"), "CronJob")
    folder = "/etc/prefect-observability/jaeger"

    assert variables(cleaner) == {"ES_USERNAME": "jaeger", "ES_PASSWORD": "secret:search/password"}
    assert container(cleaner)["args"][:-2] == [
        "--index-prefix=prefect",
        "--es.tls.enabled",
        f"--es.tls.ca={folder}/store-ca.crt",
        f"--es.tls.cert={folder}/store-tls.crt",
        f"--es.tls.key={folder}/store-tls.key",
    ]


def test_cleaner_needs_no_login_where_jaeger_needs_none() -> None:
    """Without a user and TLS there is nothing to tell."""
    store = {"type": "opensearch", "opensearch": {"url": "http://search:9200"}}
    cleaner = container(
        pod(render(values={"jaeger": {"enabled": True, "storage": store}}), "CronJob")
    )

    assert cleaner["args"] == ["--index-prefix=prefect", "8", "http://search:9200"]
    assert "env" not in cleaner


def test_tables_are_made_before_jaeger_comes() -> None:
    """The schema is a hook before install and upgrade, and needs nothing that comes later."""
    objects = rendered("cassandra")
    (job,) = of_kind(objects, "Job")
    made = pod(objects, "Job")

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert made["spec"]["serviceAccountName"] == "default"
    assert {
        "configMap": {"name": "authorities", "items": [{"key": "ca.crt", "path": "store-ca.crt"}]}
    } in (made["spec"]["volumes"][1]["projected"]["sources"])


def test_tables_keep_spans_as_long_as_is_said() -> None:
    """The tables' time to live is the retention, in the keyspace that Jaeger reads."""
    told = variables(pod(rendered("cassandra", retention="48h"), "Job"))

    assert told["TRACE_TTL"] == str(48 * 3600)
    assert (told["CQLSH_HOST"], told["CQLSH_PORT"]) == ("cassandra", "9042")
    assert (told["KEYSPACE"], told["DATACENTER"], told["MODE"]) == ("jaeger_v1_dc1", "dc1", "prod")
    assert told["CASSANDRA_PASSWORD"].startswith("secret:")
    assert told["CQLSH_SSL"] == "--ssl"


@pytest.mark.parametrize(
    ("store", "off", "kind"),
    [
        ("opensearch", {**SEARCH, "indexCleaner": {"enabled": False}}, "CronJob"),
        ("cassandra", {**CASSANDRA, "schema": {"create": False}}, "Job"),
    ],
)
def test_jobs_can_be_left_out(store: str, off: dict[str, Any], kind: str) -> None:
    """Who cares for indices or tables otherwise has no job for it."""
    objects = render(
        values=values(store) | {"jaeger": {"enabled": True, "storage": {"type": store, store: off}}}
    )

    assert [each for each in of_kind(objects, kind) if "jaeger" in each["metadata"]["name"]] == []


def test_tables_cannot_be_made_by_certificate() -> None:
    """A certificate of one's own cannot be shown to cqlsh: that is said, and nothing tried."""
    guarded = {**CASSANDRA, "tls": {"enabled": True, **CERTIFICATES}}
    store = {"type": "cassandra", "cassandra": guarded}

    assert "cannot show tls.clientCertificate" in fails(
        values={"jaeger": {"enabled": True, "storage": store}}
    )


@pytest.mark.parametrize(("store", "kind"), [("opensearch", "CronJob"), ("cassandra", "Job")])
def test_names_leave_room_for_those_of_pods(store: str, kind: str) -> None:
    """Kubernetes takes no CronJob with more than 52 characters."""
    objects = render(values=values(store), release="a" * 53)
    names = [
        each["metadata"]["name"]
        for each in of_kind(objects, kind)
        if "jaeger" in each["metadata"]["name"]
    ]

    assert [len(name) <= 52 for name in names] == [True]


@pytest.mark.parametrize(
    ("component", "ports"),
    [
        ("jaeger-collector", {9092}),
        ("jaeger-ingester", {9092, 9200, 443}),
        ("jaeger-query", {9200, 443, 9090}),
        ("jaeger-index-cleaner", {9200, 443}),
    ],
)
def test_network_policies_let_each_part_reach_its_own(component: str, ports: set[int]) -> None:
    """A part may connect to what it works with, and to no store that it does not use."""
    objects = rendered("opensearch", "plain", query={"prometheusUrl": "http://prometheus:9090"})
    (policy,) = [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if each["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
        == component
    ]
    tcp = {
        port["port"]
        for rule in policy["spec"]["egress"]
        for port in rule.get("ports", ())
        if port.get("protocol", "TCP") == "TCP" and port["port"] != 53
    }

    assert tcp == ports
