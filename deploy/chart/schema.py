"""values.schema.json, put together from a file for each section of values.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from chart import CHART
from generated import ROOT
from sources import bad

FOLDER = ROOT / "deploy" / "helm" / "schema"
FILE = CHART / "values.schema.json"

_DEFINITIONS = FOLDER / "definitions.yaml"
# Holds the schemas of several keys; every other file has the name of its one key.
_ROOT = FOLDER / "root.yaml"


def schema() -> dict[str, Any]:
    """Return the schema of values.yaml, as JSON Schema's draft 7 has it.

    Raises:
        sources.BadSource: A file is no YAML, or two describe the same key.
    """
    properties: dict[str, Any] = _read(_ROOT)
    for path in sorted(FOLDER.glob("*.yaml")):
        if path in {_DEFINITIONS, _ROOT}:
            continue
        if path.stem in properties:
            raise bad(path, [f"{path.stem}: stands in {_ROOT.name} as well: remove one"])
        properties[path.stem] = _read(path)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of prefect-observability",
        "type": "object",
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
        "definitions": _read(_DEFINITIONS),
    }


def files() -> dict[Path, str]:
    """Return the text of values.schema.json."""
    return {FILE: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"}


def _read(path: Path) -> Any:  # noqa: ANN401  JSON Schema
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise bad(path, [" ".join(str(error).split())]) from error
