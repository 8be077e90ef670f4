"""Parts of Compose files: by Compose's own schema, and by the names that docker-compose.yml has."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from docs.blocks import ROOT, Block

_SECTIONS = ("services", "volumes", "networks", "secrets")


class _Loader(yaml.CSafeLoader):
    """Takes Compose's own tags, such as ``!override``, for the values behind them."""


def _tagged(loader: yaml.CSafeLoader, _tag: str, node: yaml.Node) -> Any:  # noqa: ANN401  YAML
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _tagged)


def file(_block: Block, document: Any, _folder: Path) -> Iterator[str]:  # noqa: ANN401  YAML
    """Hold it against the schema; the names that it changes or uses are those of the stack."""
    yield from breaches("compose-spec", document)
    stack = stack_files()["docker-compose.yml"]
    for name, service in document.get("services", {}).items():
        if name not in stack["services"]:
            yield f"services.{name}: the stack has no such service"
        for section in ("networks", "secrets"):
            known = {*stack[section], *document.get(section, {})}
            yield from (
                f"services.{name}.{section}: nothing declares {used}"
                for used in service.get(section, ())
                if used not in known
            )


def logging(_block: Block, document: Any, _folder: Path) -> Iterator[str]:  # noqa: ANN401  YAML
    """See that every service of the stack has these options, and a service may have them."""
    yield from breaches("compose-spec", {"services": {"any": {"image": "any", **document}}})
    for name, service in stack_files()["docker-compose.yml"]["services"].items():
        has = service["logging"]
        if has["driver"] != document["logging"]["driver"]:
            yield f"{name} has another driver"
        if document["logging"]["options"].items() - has.get("options", {}).items():
            yield f"{name} has not all of these options"


def breaches(schema: str, document: Any) -> Iterator[str]:  # noqa: ANN401  YAML
    """Say where a document is not as a schema has it that check-jsonschema brings along."""
    for error in _validator(schema).iter_errors(document):
        yield f"{error.json_path}: {error.message}"


@functools.cache
def stack_files() -> Mapping[str, Any]:
    """Return each of the stack's Compose files, by its name."""
    paths = ROOT.glob("docker-compose*.yml")
    return {path.name: yaml.load(path.read_text(), Loader=_Loader) for path in paths}  # noqa: S506  a SafeLoader


def services() -> set[str]:
    """Return the services of all files."""
    return {name for each in stack_files().values() for name in each.get("services", {})}


def profiles() -> set[str]:
    """Return the profiles of all files."""
    return {
        profile
        for each in stack_files().values()
        for service in each.get("services", {}).values()
        for profile in (service or {}).get("profiles", ())
    }


@functools.cache
def _validator(schema: str) -> Validator:
    path = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{schema}.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    made: Validator = validator_for(told)(told)
    return made
