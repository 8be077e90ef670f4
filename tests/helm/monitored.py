"""The chart's monitors, and what each of them finds, as Kubernetes' selectors do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from alert_rules import PROMETHEUS
from helm.cases import component, objects
from helm.rendering import Object, containers, of_kind

CASE = "everything"
CONFIG = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
COMPOSE = {each["job_name"]: each for each in CONFIG["scrape_configs"]}
# What this chart runs; the others are other charts', by monitors.services.
JOBS = {
    "backup",
    "blackbox-exporter",
    "jaeger",
    "otel-collector",
    "otel-collector-runs",
    "prefect-exporter",
}
_METRICS = {8888, 8889, 9115, 9877, 9878}


def endpoint_of(monitor: Object) -> dict[str, Any]:
    """Return the one endpoint of a monitor."""
    spec = monitor["spec"]
    (found,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    return dict(found)


def job_of(monitor: Object) -> str:
    """Return the job that a monitor's targets get."""
    (found,) = (
        each["replacement"]
        for each in endpoint_of(monitor)["relabelings"]
        if each.get("targetLabel") == "job"
    )
    return str(found)


def selected(monitor: Object, candidates: Sequence[Object]) -> list[Object]:
    """Return those whose labels a monitor's selector matches, as Kubernetes does."""
    selector = monitor["spec"]["selector"]
    return [each for each in candidates if _matches(selector, each["metadata"]["labels"])]


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    listed = selector.get("matchExpressions", ())
    assert {each["operator"] for each in listed} <= {"In"}
    return equal and all(labels.get(each["key"]) in each["values"] for each in listed)


def our_monitors() -> list[Object]:
    """Return the monitors of what the chart runs, in the case of everything."""
    return [*of_ours("ServiceMonitor"), *of_ours("PodMonitor")]


def of_ours(kind: str) -> list[Object]:
    """Return those of a kind that are not of other charts' Services."""
    return [each for each in of_kind(objects(CASE), kind) if component(each) != "service"]


def scraped(pod: Object) -> Iterator[tuple[str, int]]:
    """Give a pod's ports that are scraped: name and number."""
    for container in containers(pod):
        for port in container.get("ports", ()):
            if port["containerPort"] in _METRICS:
                yield port["name"], port["containerPort"]


def reaches(monitor: Object, pod: Object, services: Sequence[Object]) -> bool:
    """Tell whether a monitor finds a pod, by itself or by a Service."""
    if monitor["kind"] == "PodMonitor":
        return pod in selected(monitor, [pod])
    labels = pod["metadata"]["labels"].items()
    return any(
        service["spec"]["selector"].items() <= labels for service in selected(monitor, services)
    )
