"""Values of the chart: Helm renders them, and its schema refuses what it does not know."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.blocks import ROOT, Block
from helm.rendering import SOURCE, load, render

# What is off by itself, with what it needs beside the values that a page shows.
_OFF: Mapping[str, Mapping[str, Any]] = {
    "gateway": {"enabled": True},
    "jaeger": {
        "enabled": True,
        "storage": {"type": "opensearch", "opensearch": {"url": "https://search.example.com:9200"}},
    },
}


def check(_block: Block, document: Any, _folder: Path) -> Iterator[str]:  # noqa: ANN401  YAML
    """Let Helm render the chart with these values; what is off is switched on, or nothing looks."""
    switched = dict(document)
    for part in document.keys() & _OFF.keys():
        switched[part] = {**_OFF[part], **document[part]}
    if not render(values=switched):
        yield "the chart makes nothing of these values"


def of_kube_prometheus_stack(_block: Block, document: Any, _folder: Path) -> Iterator[str]:  # noqa: ANN401  YAML
    """See that the Secret is one that our chart makes: the values are those of another."""
    config = (ROOT / "deploy" / "alertmanager" / "alertmanager-operator.yaml").read_text()
    made = render(values={"alertmanager": {"as": "secret", "config": config}})
    secrets = {each["metadata"]["name"] for each in made if each["kind"] == "Secret"}
    told = document["alertmanager"]["alertmanagerSpec"]["configSecret"]
    if told.replace("<fullname>", "obs-prefect-observability") not in secrets:
        yield f"the chart makes no Secret {told}, only {sorted(secrets)}"


@functools.cache
def values() -> Mapping[str, Any]:
    """Return the chart's defaults."""
    defaults: Mapping[str, Any] = load((SOURCE / "values.yaml").read_text(encoding="utf-8"))
    return defaults


def has(key: str) -> bool:
    """Return whether ``--set`` may name this key: what may hold anything has any key."""
    place: Any = values()
    for part in re.split(r"(?<!\\)\.", key):
        if place in ({}, [], None, ""):
            return True
        if part not in place:
            return False
        place = place[part]
    return True
