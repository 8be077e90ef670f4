"""Each case of the matrix: Helm's own checks, and what it renders against a golden file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.cases import CASES, objects, passed_on
from helm.rendering import HELM, Object, chart, value_options

_GOLDEN = Path(__file__).with_name("golden")
# Every object has these, as test_conventions.py sees to.
_ALWAYS = {
    *(
        f"app.kubernetes.io/{each}"
        for each in ("instance", "managed-by", "name", "part-of", "version")
    ),
    "helm.sh/chart",
    "namespace",
}
# Longer texts are files that other tests compare with their sources.
_LONGEST = 400


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing(case: str) -> None:
    """Give ``helm lint --strict`` nothing to say."""
    done = subprocess.run(
        [HELM, "lint", "--strict", "--quiet", chart(), *value_options(CASES[case])],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_objects_are_those_of_the_golden_file(case: str) -> None:
    """Change what is installed only where somebody looked: UPDATE_GOLDEN=1 writes the files."""
    path = _GOLDEN / f"{case}.yaml"
    text = _golden(case)
    if "UPDATE_GOLDEN" in os.environ:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text


def test_golden_files_have_cases() -> None:
    """Keep no golden file of a case that is gone."""
    assert CASES.keys() == {path.stem for path in _GOLDEN.glob("*.yaml")}


def _golden(case: str) -> str:
    """Return the objects of a case: whole where they are new, else what differs from before.

    What is by default comes first; of what is not, the case with everything.
    """
    found = _named(case)
    usual: dict[str, Object] = {}
    for before in {"default": (), "everything": ("default",)}.get(case, ("everything", "default")):
        usual |= _named(before)
    default = _named("default").keys() if case != "default" else set()
    head = {
        "objects": sorted(found.keys() - default),
        "only by default": sorted(default - found.keys()),
    }
    own = {name: _difference(found[name], usual.get(name, {})) for name in sorted(found)}
    shown = [head, *({name: each} for name, each in own.items() if each)]
    return yaml.dump_all(shown, Dumper=_Dumper, default_flow_style=None, width=120)


def _named(case: str) -> dict[str, Object]:
    return passed_on(case) | {_name(each): _short(each) for each in objects(case)}


def _difference(found: Object, usual: Object) -> Object:
    """Return the keys that are not as usual, and within them the same."""
    changed: Object = {}
    for key, value in found.items():
        now, before = _by_name(value), _by_name(usual.get(key))
        if isinstance(now, dict) and isinstance(before, dict):
            changed |= {key: inner} if (inner := _difference(now, before)) else {}
        elif now != before:
            changed[key] = value
    return changed | dict.fromkeys(usual.keys() - found.keys(), "(not there)")


def _by_name(value: Any) -> Any:  # noqa: ANN401  any part of an object
    """Return a list whose elements have names, such as containers, as a map."""
    if isinstance(value, list) and all(isinstance(each, dict) and "name" in each for each in value):
        return {each["name"]: each for each in value}
    return value


def _name(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def _short(value: Any) -> Any:  # noqa: ANN401  any part of an object
    """Return a part of an object without what changes with each rule and board."""
    match value:
        case {"groups": [*groups], **others}:
            return {**others, "groups": [group["name"] for group in groups]}
        case dict():
            return {key: _shown(key, each) for key, each in value.items() if key not in _ALWAYS}
        case list():
            return [_short(each) for each in value]
        case str() if len(value) > _LONGEST:
            return "(a long text)"
        case _:
            return value


def _shown(key: str, value: Any) -> Any:  # noqa: ANN401  any part of an object
    return "(a checksum)" if key.startswith("checksum/") else _short(value)


class _Dumper(yaml.CSafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401  PyYAML's signature
        """Write a value again where it stands again."""
        return True
