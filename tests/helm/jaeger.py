"""The forms in which the chart brings Jaeger: values, and what each pod is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from helm.rendering import Object, pods, render

NAME = "obs-prefect-observability-jaeger"

_CA = {"existingConfigMap": {"name": "authorities", "key": "ca.crt"}}
CERTIFICATES = {"ca": _CA, "clientCertificate": {"existingSecret": "jaeger-client"}}


def password(name: str) -> dict[str, Any]:
    """Return the values of a password in a Secret."""
    return {"existingSecret": {"name": name, "key": "password"}}


STORES: dict[str, dict[str, Any]] = {
    "badger": {"type": "badger"},
    "opensearch": {
        "type": "opensearch",
        "opensearch": {
            "url": "https://search.db:9200",
            "username": "jaeger",
            "password": password("search"),
            "tls": CERTIFICATES,
        },
    },
    "cassandra": {
        "type": "cassandra",
        "cassandra": {
            "servers": ["cassandra", "10.0.0.7"],
            "username": "jaeger",
            "password": password("cassandra"),
            "tls": {"enabled": True, "ca": _CA},
        },
    },
    "clickhouse": {
        "type": "clickhouse",
        "clickhouse": {"addresses": ["clickhouse:9000"], "password": password("clickhouse")},
    },
}
KAFKA: dict[str, dict[str, Any]] = {
    "none": {},
    "plain": {"enabled": True, "brokers": ["kafka-0.kafka:9092", "kafka-1.kafka:9092"]},
    "guarded": {
        "enabled": True,
        "brokers": ["kafka-0.kafka:9093"],
        "sasl": {"username": "jaeger", "password": password("kafka")},
        "tls": {"enabled": True, **CERTIFICATES},
    },
}
FORMS = [
    (store, kafka) for store in STORES for kafka in KAFKA if store != "badger" or kafka == "none"
]
"""Every store, with and without Kafka before it."""


def values(store: str = "badger", kafka: str = "none", **more: object) -> dict[str, Any]:
    """Return the chart's values of a form; *more* are further keys of `jaeger`."""
    jaeger: dict[str, Any] = {"enabled": True, "storage": STORES[store], "kafka": KAFKA[kafka]}
    if store == "clickhouse":
        jaeger["image"] = {"tag": "2.23.0"}
    return {"jaeger": jaeger | more}


def parts(objects: Sequence[Object]) -> dict[str, Object]:
    """Return Jaeger's own pods by their part, such as ``collector``; all in one is ``""``."""
    found = {name.partition("/")[2]: pod for name, pod in pods(objects)}
    return {
        name.removeprefix(NAME).removeprefix("-"): pod
        for name, pod in found.items()
        if name.startswith(NAME) and container(pod)["name"] == "jaeger"
    }


def rendered(store: str = "badger", kafka: str = "none", **more: object) -> list[Object]:
    """Return all objects of a form."""
    return render(values=values(store, kafka, **more))


def container(pod: Object) -> Object:
    """Return a pod's one container."""
    (one,) = pod["spec"]["containers"]
    found: Object = one
    return found


def files(pod: Object) -> list[str]:
    """Return the configuration files that a pod's Jaeger reads, in their order."""
    return [each.removeprefix("--config=/etc/jaeger/") for each in container(pod)["args"]]


def variables(pod: Object) -> Mapping[str, str]:
    """Return a pod's variables; one of a Secret is ``secret:<name>/<key>``."""
    return {each["name"]: _value(each) for each in container(pod).get("env", ())}


def _value(variable: Object) -> str:
    if "value" in variable:
        return str(variable["value"])
    secret = variable["valueFrom"]["secretKeyRef"]
    return f"secret:{secret['name']}/{secret['key']}"
