"""That docs/kubernetes.md and the example values say what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helm.rendering import ROOT, SOURCE, examples, load, render

_PAGE = ROOT / "docs" / "kubernetes.md"
_TEXT = _PAGE.read_text(encoding="utf-8")
_ABOUT = load((SOURCE / "Chart.yaml").read_text(encoding="utf-8"))
_VALUES = load((SOURCE / "values.yaml").read_text(encoding="utf-8"))


def test_links_lead_somewhere() -> None:
    """Link only to files and headings that there are."""
    links = re.findall(r"\]\(([^)]+)\)", _TEXT)

    assert [] == [link for link in links if not _there(link)]


def _there(link: str) -> bool:
    name, _, anchor = link.partition("#")
    path = (_PAGE.parent / name) if name else _PAGE
    if not anchor:
        return path.exists()
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return anchor in {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_keys_are_values() -> None:
    """Name only keys that values.yaml has."""
    named = {
        key
        for key in re.findall(r"`([a-z][A-Za-z-]*(?:\.[A-Za-z-]+)+)(?::[^`]*)?`", _TEXT)
        if key.partition(".")[0] in _VALUES
    }

    assert {key for key in named if not _has(_VALUES, key.split("."))} == set()
    assert len(named) > 20


def _has(values: Any, path: list[str]) -> bool:  # noqa: ANN401  YAML
    if not path or values in ({}, []):
        return True
    if path[0] not in values:
        return path[0] == path[0].upper() or "global" in path
    return _has(values[path[0]], path[1:])


def test_every_example_is_listed() -> None:
    """Say of each example what it is for."""
    assert set(examples()) == set(re.findall(r"^\| `([a-z-]+)\.yaml` \|", _TEXT, re.MULTILINE))


def test_versions_are_those_of_the_chart() -> None:
    """Name the versions that Chart.yaml pins."""
    pinned = {f"{each['name']} {each['version']}" for each in _ABOUT["dependencies"]}

    assert {each for each in pinned if each not in _TEXT} == set()
    assert f"prefect-observability-{_ABOUT['version']}.tgz" in _TEXT


def test_first_values_render() -> None:
    """Let the values of step 3 be ones that Helm takes."""
    (block, *_) = re.findall(r"```yaml\n(.*?)```", _TEXT, re.DOTALL)

    assert render(values=load(block))


@pytest.mark.parametrize("name", examples())
def test_examples_name_the_secrets_to_make(name: str) -> None:
    """Show beside each example how the Secrets are made that it names."""
    text = (SOURCE / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    head = text[: text.index("\n\n")] if "\n\n" in text else text
    named = {
        found
        for found in re.findall(r"\{name: ([a-z-]+), key: ", text)
        if found not in _MADE_BY_OTHERS
    }

    assert {each for each in named if f"secret generic {each}" not in head} == set()


_MADE_BY_OTHERS = {
    "prefect-server-postgresql-connection",  # by Prefect's chart
    "opensearch",  # by whoever runs it
}


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "examples").glob("*.yaml")), ids=lambda each: each.stem
)
def test_examples_hold_no_secret(path: Path) -> None:
    """Show no credential in values that people copy."""
    assert "value:" not in path.read_text(encoding="utf-8")
