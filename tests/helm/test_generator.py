"""What of the chart is made from other files: `python -m chart`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chart import files, readme, schema, values
from helm.rendering import ROOT, SOURCE
from sources import BadSource


def _values(tmp_path: Path, text: str) -> tuple[values.Value, ...]:
    path = tmp_path / "values.yaml"
    path.write_text(text, encoding="utf-8")
    return values.read(path)


def test_copies_are_the_very_same_files() -> None:
    """Bring the Compose stack's files to Kubernetes byte for byte."""
    for source, target in files.pairs():
        assert source.read_bytes() == target.read_bytes(), f"{target}: run make generate"


def test_every_pattern_finds_files() -> None:
    """Copy nothing that moved away without a word."""
    deploy = ROOT / "deploy"

    assert not [pattern for pattern in files.COPIED if not any(deploy.glob(pattern))]


def test_every_copy_is_used() -> None:
    """Carry no file in each release's Secret that no template reads."""
    templates = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (SOURCE / "templates").rglob("*")
        if path.is_file()
    )
    patterns = re.findall(r'"(files/[^"]*)"', templates)
    shown = [each.replace("%s", "*") for each in patterns if each != "files/otel-collector/%s"]
    copied = [target.relative_to(SOURCE) for _, target in files.pairs()]
    unused = {
        path.name
        for path in copied
        if not any(map(path.match, shown)) and f'"{path.name}"' not in templates
    }

    assert set() == unused


def test_comment_of_several_lines_is_one_description(tmp_path: Path) -> None:
    """Join the lines above a key, from ``# --`` on."""
    (found,) = _values(tmp_path, "# Not this.\n# -- Runs it,\n# or not.\nenabled: true\n")

    assert found == values.Value(("enabled",), default=True, text="Runs it, or not.")


def test_map_comment_speaks_for_what_is_below(tmp_path: Path) -> None:
    """Ask for no comment below a commented map, and still take those that are there."""
    found = _values(tmp_path, "# -- All.\na:\n  b: 1\n  # -- Itself.\n  c: 2\n")

    assert [("a",), ("a", "c")] == [each.path for each in found]


def test_shown_default_replaces_a_long_one(tmp_path: Path) -> None:
    """Show what ``@default`` says in place of the value."""
    (found,) = _values(tmp_path, "# -- Probes.\n# @default -- see the chart\nprobe: {a: 1}\n")

    assert found.shown == "see the chart"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:\n  b: 1\n", "line 2: a.b: has no comment"),
        ("# Without dashes.\na: 1\n", "line 2: a: has no comment"),
        ("# -- Of another key.\n\na: 1\n", "line 3: a: has no comment"),
        ("a: {}\n", "line 1: a: has no comment"),
    ],
    ids=["nested", "without dashes", "empty line between", "empty map"],
)
def test_key_without_comment_is_refused(tmp_path: Path, text: str, place: str) -> None:
    """Refuse a key that the README would have to show without a word."""
    with pytest.raises(BadSource, match=place):
        _values(tmp_path, text)


def test_readme_has_a_row_for_every_comment() -> None:
    """Show every documented key of values.yaml, with what is set."""
    (text,) = readme.files().values()
    documented = values.read(SOURCE / "values.yaml")
    sections = {each.path[0] for each in documented if len(each.path) > 1}

    missing = [
        each.path
        for each in documented
        if (each.path[0] not in sections or len(each.path) > 1)
        and f"| {'.'.join(each.path)} |" not in text
    ]

    assert not missing


def test_schema_is_whole() -> None:
    """Put each file of the folder under the key that it is named after."""
    (text,) = schema.files().values()
    properties = json.loads(text)["properties"]
    sections = {path.stem for path in schema.FOLDER.glob("*.yaml")} - {"definitions", "root"}

    assert sections <= properties.keys()
    assert json.loads(text)["additionalProperties"] is False
