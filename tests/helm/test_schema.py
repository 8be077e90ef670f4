"""What people read of values that cannot be used, and that the schema knows all values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from helm.rendering import SOURCE, fails, load

VALUES = load((SOURCE / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((SOURCE / "values.schema.json").read_text(encoding="utf-8"))

_TARGET = {"name": "a", "url": "https://prefect.example.com/api"}
_BACKUP = {"enabled": True, "repository": "s3:https://s3.example.com/b"}
_OPENSEARCH = {"type": "opensearch", "opensearch": {"url": "https://search.example.com"}}

# Values, where they are wrong, and why.
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "misspelt section": ({"exporters": {}}, "exporters", "not allowed"),
    "misspelt key": ({"exporter": {"shard": 2}}, "shard", "not allowed"),
    "no shards": ({"exporter": {"shards": 0}}, "exporter.shards", "greater than or equal to 1"),
    "replicas of the exporter": (
        {"exporter": {"replicas": 2}},
        "exporter.replicas",
        "each count its runs",
    ),
    "autoscaled exporter": (
        {"exporter": {"autoscaling": {"enabled": True}}},
        "exporter.autoscaling",
        "each count its runs",
    ),
    "claim for all shards": (
        {"exporter": {"persistence": {"existingClaim": "x"}}},
        "exporter.persistence.existingClaim",
        "a volume of its own",
    ),
    "misspelt setting": (
        {"exporter": {"settings": {"POL_INTERVAL": "1m"}}},
        "exporter.settings",
        "POL_INTERVAL",
    ),
    "target without address": ({"targets": [{"name": "a"}]}, "targets.0", "url is required"),
    "target without scheme": (
        {"targets": [{"url": "prefect:4200/api"}]},
        "targets.0.url",
        "Does not match pattern",
    ),
    "targets of one name": ({"targets": [_TARGET, _TARGET]}, "targets", 'have the name "a"'),
    "credentials in an address": (
        {"targets": [{"url": "https://admin:secret@prefect/api"}]},
        "targets",
        "holds credentials",
    ),
    "unknown budget": ({"targets": [{**_TARGET, "budget": "b"}]}, "targets", 'budget "b"'),
    "two budgets": (
        {"targets": [{**_TARGET, "budget": "b", "requestsPerMinute": 5}], "budgets": {"b": 9}},
        "targets",
        "both budget and requestsPerMinute",
    ),
    "two sources of one credential": (
        {"targets": [{**_TARGET, "credentials": {"apiKey": {"value": "x", "existingSecret": {}}}}]},
        "targets.0.credentials.apiKey",
        "at most 1",
    ),
    "tag with a space": (
        {"exporter": {"image": {"tag": "0.1 0"}}},
        "exporter.image.tag",
        "Does not match pattern",
    ),
    "short digest": (
        {"exporter": {"image": {"digest": "sha256:12"}}},
        "exporter.image.digest",
        "Does not match pattern",
    ),
    "pull policy": (
        {"exporter": {"image": {"pullPolicy": "Sometimes"}}},
        "exporter.image.pullPolicy",
        '"IfNotPresent"',
    ),
    "size with a space": (
        {"exporter": {"persistence": {"size": "1 GB"}}},
        "exporter.persistence.size",
        "Does not match pattern",
    ),
    "memory in words": (
        {"gateway": {"resources": {"limits": {"memory": "plenty"}}}},
        "gateway.resources.limits.memory",
        "Does not match pattern",
    ),
    "budget that blocks a drain": (
        {"exporter": {"podDisruptionBudget": {"minAvailable": 1}}},
        "minAvailable",
        "not allowed",
    ),
    "address without scheme": (
        {"links": {"grafana": "grafana.example.com"}},
        "links.grafana",
        "Does not match pattern",
    ),
    "mode of scraping": ({"monitors": {"as": "servicemonitor"}}, "monitors.as", "serviceMonitor"),
    "interval without unit": (
        {"monitors": {"interval": "15"}},
        "monitors.interval",
        "Does not match pattern",
    ),
    "group of rules": ({"rules": {"groups": {"flow": True}}}, "flow", "not allowed"),
    "unknown alert": (
        {"rules": {"disabled": {"PrefectFlowRunLate": True}}},
        "rules.disabled",
        "none of the alerts",
    ),
    "unknown board": (
        {"dashboards": {"disabled": {"flows": True}}},
        "dashboards.disabled",
        "flows",
    ),
    "gateways without agent": (
        {"gateway": {"replicas": 2}},
        "gateway.replicas",
        "without agent.enabled",
    ),
    "agent without gateway": (
        {"agent": {"enabled": True}, "gateway": {"enabled": False}},
        "agent.enabled",
        "without gateway.enabled",
    ),
    "more than all traces": (
        {"gateway": {"sampling": {"share": 110}}},
        "gateway.sampling.share",
        "less than or equal to 100",
    ),
    "unknown store": (
        {"jaeger": {"enabled": True, "storage": {"type": "elasticsearch"}}},
        "jaeger.storage.type",
        '"opensearch"',
    ),
    "store without address": (
        {"jaeger": {"enabled": True, "storage": {"type": "opensearch"}}},
        "jaeger.storage.opensearch.url",
        "is empty",
    ),
    "Kafka before one pod": (
        {"jaeger": {"enabled": True, "kafka": {"enabled": True}}},
        "jaeger.kafka.enabled",
        "one pod",
    ),
    "Kafka without brokers": (
        {"jaeger": {"enabled": True, "kafka": {"enabled": True}, "storage": _OPENSEARCH}},
        "jaeger.kafka.brokers",
        "is empty",
    ),
    "backup to nowhere": ({"backup": {"enabled": True}}, "backup.repository", "is empty"),
    "key beside what it opens": (
        {"backup": {**_BACKUP, "keyRepository": _BACKUP["repository"]}},
        "backup.keyRepository",
        "the same as backup.repository",
    ),
    "schedule in words": (
        {"backup": {**_BACKUP, "run": {"schedule": "every day"}}},
        "backup.run.schedule",
        "Does not match pattern",
    ),
    "name in capitals": (
        {"fullnameOverride": "Prefect"},
        "fullnameOverride",
        "Does not match pattern",
    ),
    "peers as a map": (
        {"networkPolicy": {"monitoring": {"podSelector": {}}}},
        "networkPolicy.monitoring",
        "Expected: array, given: object",
    ),
    "switch in words": ({"loki": {"enabled": "yes"}}, "loki.enabled", "Expected: boolean"),
    "Alertmanager of another release": (
        {"kube-prometheus-stack": {"enabled": True}, "alertmanager": {"as": "secret"}},
        "alertmanagerSpec.configSecret",
        "obs-prefect-observability-alertmanager",
    ),
    "Alertmanager without its Secret": (
        {"kube-prometheus-stack": {"enabled": True}},
        "alertmanager.as is none",
        "waits for the Secret",
    ),
    "server whose password nobody gives": (
        {"prefect-server": {"enabled": True}},
        "targets",
        "asks for a password",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_value_is_named_with_its_cause(name: str) -> None:
    """Say where the value is and what is wrong with it, in one line of a few."""
    values, place, cause = BAD[name]

    message = fails(values=values)

    assert any(place in line and cause in line for line in message.splitlines()), message
    assert len(message.strip().splitlines()) <= 5


def test_defaults_are_valid() -> None:
    """Take the chart's own values."""
    assert [] == [each.message for each in Draft7Validator(SCHEMA).iter_errors(VALUES)]


def test_schema_is_a_schema() -> None:
    """Write only words that JSON Schema knows the meaning of."""
    Draft7Validator.check_schema(SCHEMA)


def test_every_value_is_known() -> None:
    """Describe each key of values.yaml; what a dependency gets is its own to check."""
    unknown = [
        ".".join(path)
        for path in _paths(VALUES)
        if path[0] not in _DEPENDENCIES and not _known(path)
    ]

    assert [] == unknown


def test_every_described_key_is_a_value() -> None:
    """Describe no key that values.yaml does not show, unless it is optional within a value."""
    shown = set(_paths(VALUES))
    missing = [
        f"{section}.{key}"
        for section, schema in SCHEMA["properties"].items()
        if section not in _DEPENDENCIES
        for key in _resolved(schema).get("properties", {})
        if (section, key) not in shown and not _refused_on_purpose(section, key)
    ]

    assert [] == missing


_DEPENDENCIES = {"kube-prometheus-stack", "loki", "prefect-server", "prefect-worker"}


def _refused_on_purpose(section: str, key: str) -> bool:
    """Return whether a key is known only so that a template can say why it is not to be had."""
    return f"{section}.{key}" in fails(values={section: {key: 1}})


def _paths(values: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401  YAML
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*above, key)
            yield from _paths(value, (*above, key))


def _known(path: tuple[str, ...]) -> bool:
    schema = SCHEMA
    for key in path:
        schema = _resolved(schema)
        described = {
            **{re.escape(name): each for name, each in schema.get("properties", {}).items()},
            **schema.get("patternProperties", {}),
        }
        found = [each for pattern, each in described.items() if re.fullmatch(pattern, key)]
        if not found:
            # Within maps of the user's own, and whole parts of Kubernetes' objects.
            return schema.get("additionalProperties", True) is not False
        schema = found[0]
    return True


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/definitions/")
    return SCHEMA["definitions"][name] if name else schema
