"""The files of the Compose stack that the chart brings to Kubernetes, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chart import CHART
from generated import ROOT

FOLDER = CHART / "files"

# Patterns below deploy/, and the folder below files/ that what they match goes to.
COPIED = {
    "alertmanager/*.yaml": "alertmanager",
    "alertmanager/templates/*.tmpl": "alertmanager/templates",
    "blackbox/*.yml": "blackbox",
    "grafana/dashboards/*.json": "grafana",
    "grafana/provisioning/datasources/*.yml": "grafana/datasources",
    "helm/tests/*.py": "tests",
    "jaeger/*.json": "jaeger",
    "jaeger/*.yaml": "jaeger",
    "otel-collector/agent.yaml": "otel-collector",
    "otel-collector/container-logs.yaml": "otel-collector",
    "otel-collector/kubernetes.yaml": "otel-collector",
    "otel-collector/pod-logs.yaml": "otel-collector",
    "otel-collector/runs.yaml": "otel-collector",
    "otel-collector/stack.yaml": "otel-collector",
    "prometheus/rules/*/*.yml": "prometheus/rules/{parent}",
}


def copies() -> dict[Path, str]:
    """Return the text of every file below files/."""
    return {target: source.read_text(encoding="utf-8") for source, target in pairs()}


def pairs() -> Iterator[tuple[Path, Path]]:
    """Give each file below deploy/, and where it goes."""
    for pattern, folder in COPIED.items():
        for source in sorted((ROOT / "deploy").glob(pattern)):
            yield source, FOLDER / folder.format(parent=source.parent.name) / source.name
