"""The schemas of other operators' resources, from those operators' own Go modules."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from helm.rendering import Object, load

# Module, version, the module's checksum as in a go.sum, and the folder with its CRDs.
_MODULES = (
    (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd",
    ),
    (
        "github.com/grafana/grafana-operator/v5",
        "v5.19.4",
        "h1:RJbitTafZsz11YxFIANxc0I+d/eTyj2nbHN9aK317oo=",
        "config/crd/bases",
    ),
)

API_VERSIONS = (
    "monitoring.coreos.com/v1",
    "monitoring.coreos.com/v1alpha1",
    "grafana.integreatly.org/v1beta1",
)
"""What a cluster knows that has these CRDs, for ``helm template --api-versions``."""


@functools.cache
def crd_files() -> tuple[Path, ...]:
    """Return the files of all CRDs, one CRD each.

    Raises:
        AssertionError: There is no Go, or a module is not the one that is pinned.
    """
    assert shutil.which("go"), "Go is missing: the CRDs come from Go modules"
    return tuple(path for each in _MODULES for path in sorted(_folder(*each).glob("*_*.yaml")))


def problems(given: Object) -> list[str]:
    """Return what the API server would refuse or drop, each with its place in the object.

    Raises:
        KeyError: It is of a kind that no CRD describes.
    """
    validator = _validators()[given["apiVersion"], given["kind"]]
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(given)]


def known(given: Object) -> bool:
    """Return whether a CRD describes the object's kind."""
    group = str(given["apiVersion"]).partition("/")[0]
    return group in {each.partition("/")[0] for each in API_VERSIONS}


def _folder(module: str, version: str, checksum: str, folder: str) -> Path:
    # The checksum is ours, so Go need not ask its database, nor a go.mod.
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{module}@{version}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "GONOSUMDB": "*", "GOWORK": "off"},
    )
    answer = json.loads(done.stdout)
    assert "Error" not in answer, answer["Error"]
    assert answer["Sum"] == checksum, f"{module} {version} is not what it was: {answer['Sum']}"
    return Path(answer["Dir"]) / folder


@functools.cache
def _validators() -> dict[tuple[str, str], Draft7Validator]:
    found = {}
    for path in crd_files():
        crd = load(path.read_text(encoding="utf-8"))
        for version in crd["spec"]["versions"]:
            name = f"{crd['spec']['group']}/{version['name']}"
            schema = _strict(version["schema"]["openAPIV3Schema"])
            # Of the API server's own, which no CRD repeats.
            schema["properties"]["metadata"] = {"type": "object"}
            found[name, crd["spec"]["names"]["kind"]] = Draft7Validator(schema)
    return found


def _strict(schema: Any) -> Any:  # noqa: ANN401  JSON Schema
    """Return a schema that refuses what the API server drops, and takes the nulls that it takes."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _strict(value) for key, value in schema.items()}
    closed = "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and isinstance(schema.get("type"), str):
        changed.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        changed["type"] = [schema["type"], "null"]
    return changed
