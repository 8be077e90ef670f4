"""The metrics that postgres_exporter is told to make beside its own."""

from __future__ import annotations

from pathlib import Path

import yaml

QUERIES = Path(__file__).parents[1] / "deploy" / "postgres-exporter" / "queries.yaml"


def queried_metrics() -> set[str]:
    """Return their names, as the exporter puts them together."""
    return {
        f"{name}_{column}"
        for name, query in yaml.safe_load(QUERIES.read_text()).items()
        for metric in query["metrics"]
        for column, told in metric.items()
        if told["usage"] != "LABEL"
    }
