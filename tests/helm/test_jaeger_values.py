"""Which values of Jaeger's are refused, in which words, and which are taken."""

from __future__ import annotations

import re

import pytest
import yaml

from helm.jaeger import STORES, parts, rendered, values
from helm.rendering import ROOT, Object, fails, render


@pytest.mark.parametrize(
    ("store", "path", "value", "message"),
    [
        ("badger", "kafka.enabled", True, "jaeger.kafka.enabled: Badger is written by one pod"),
        ("badger", "storage.type", "elasticsearch", "jaeger.storage.type"),
        ("badger", "storage.type", "opensearch", "jaeger.storage.opensearch.url is empty"),
        ("badger", "storage.type", "cassandra", "jaeger.storage.cassandra.servers is empty"),
        ("badger", "storage.type", "clickhouse", "jaeger.storage.clickhouse.addresses is empty"),
        ("badger", "allInOne.replicas", 2, "replicas is not allowed"),
        ("badger", "retention", "7d", "jaeger.retention"),
        ("badger", "collector.toleration", [], "toleration is not allowed"),
        ("badger", "query.ingress.enabled", True, "jaeger.query.ingress.host is empty"),
        ("opensearch", "storage.opensearch.url", "https://u:p@search:9200", "opensearch.url"),
        ("opensearch", "storage.opensearch.password", None, "opensearch.password is not"),
        ("opensearch", "storage.opensearch.username", "", "opensearch.username is not"),
        ("opensearch", "kafka.enabled", True, "jaeger.kafka.brokers is empty"),
        ("opensearch", "kafka.brokers", ["kafka"], "jaeger.kafka.brokers.0"),
        ("opensearch", "kafka.maxMessageBytes", 1_000_000, "jaeger.kafka.maxMessageBytes"),
        ("cassandra", "storage.cassandra.servers", ["c.db:9042"], "cassandra.servers.0"),
        (
            "cassandra",
            "storage.cassandra.tls",
            {"enabled": True},
            "needs jaeger.storage.cassandra.tls.ca",
        ),
        ("clickhouse", "image.tag", "2.13.0", "set jaeger.image.tag to 2.23.0 or newer"),
        ("clickhouse", "storage.clickhouse.username", "", "clickhouse.username"),
    ],
)
def test_impossible_values_are_refused(store: str, path: str, value: object, message: str) -> None:
    """What cannot work ends before anything is installed, in words that name the setting."""
    assert message in fails(values=values(store), sets={f"jaeger.{path}": value})


def test_kafkas_login_is_whole_or_none() -> None:
    """A user without a password is told which setting is missing."""
    assert "jaeger.kafka.sasl.password is not" in fails(
        values=values("opensearch", "plain"), sets={"jaeger.kafka.sasl.username": "jaeger"}
    )


def test_scaling_has_a_range() -> None:
    """The fewest are not more than the most."""
    scaling = {"enabled": True, "minReplicas": 9}

    assert "minReplicas is 9, more than maxReplicas, which is 6" in fails(
        values=values("opensearch", collector={"autoscaling": scaling})
    )


@pytest.mark.parametrize(
    "image", [{"tag": "2.23.1"}, {"tag": "2.13.0", "digest": f"sha256:{'0' * 64}"}, {"tag": "ours"}]
)
def test_newer_jaegers_may_use_clickhouse(image: Object) -> None:
    """A version that can search is taken, and so is one of which the chart cannot tell."""
    assert "collector" in parts(rendered("clickhouse", image=image))


def test_what_the_page_shows_can_be_installed() -> None:
    """Each block of values in docs/backends.md makes objects, that of Kafka with a store."""
    page = (ROOT / "docs" / "backends.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert len(blocks) == 3
    for block in blocks:
        told = yaml.safe_load(block)["jaeger"]
        form = {"enabled": True, "storage": STORES["opensearch"], **told}
        assert {"collector", "query"} <= set(parts(render(values={"jaeger": form})))
