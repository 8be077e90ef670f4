"""The chart as one file to install, and how much room it takes in a cluster."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from chart.package import pack
from helm.cases import CASES, objects
from helm.rendering import HELM, SOURCE, manifest, render

# Kubernetes takes no larger object, by its own check of Secrets and ConfigMaps.
_LARGEST = 1024 * 1024
_LARGEST_ANNOTATION = 256 * 1024


@pytest.fixture(scope="module", name="packed")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    assert 0 == pack(folder / SOURCE.name, folder, whole=False)
    (path,) = folder.glob("*.tgz")
    return path


def _template(packed: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELM, "template", "obs", packed, *options], capture_output=True, text=True, check=False
    )


def test_packed_without_dependencies_makes_the_same(packed: Path) -> None:
    """Install the chart's own objects, all of them, without a download."""
    done = _template(packed, "--namespace=observability")
    found = [each for each in yaml.safe_load_all(done.stdout) if each]

    assert [each["metadata"] for each in render()] == [each["metadata"] for each in found]


def test_packed_without_dependencies_cannot_bring_one(packed: Path) -> None:
    """Say so where a dependency is asked for that was left out."""
    done = _template(packed, "--set=loki.enabled=true")

    assert "loki.enabled is true, but this chart was packed without its dependencies" in done.stderr


def test_packed_chart_is_what_users_need(packed: Path) -> None:
    """Leave out what is for developers, and keep what Helm and people read."""
    listed = subprocess.run(
        ["tar", "--list", "--file", packed], capture_output=True, text=True, check=True
    ).stdout

    names = {Path(line).relative_to(SOURCE.name).parts[0] for line in listed.splitlines()}
    assert {
        ".helmignore",
        "Chart.yaml",
        "README.md",
        "files",
        "templates",
        "values.schema.json",
        "values.yaml",
    } == names


@pytest.mark.parametrize("case", CASES)
def test_release_fits_into_its_secret(case: str) -> None:
    """Leave room in the Secret that Helm keeps a release in, for what dependencies render."""
    files = [path for path in SOURCE.rglob("*") if path.is_file() and "examples" not in path.parts]
    # As Helm has it: the chart's files in base64, all as JSON, packed, and in base64 again.
    record = {
        "chart": {str(path): base64.b64encode(path.read_bytes()).decode() for path in files},
        "manifest": manifest(*CASES[case], release="prefect-observability"),
    }
    stored = base64.b64encode(gzip.compress(json.dumps(record).encode()))

    assert len(stored) < 0.6 * _LARGEST


@pytest.mark.parametrize("case", CASES)
def test_objects_are_small_enough(case: str) -> None:
    """Make nothing that Kubernetes refuses, nor ``kubectl apply``, which notes all of an object."""
    large = {
        each["metadata"]["name"]: size
        for each in objects(case)
        if (size := len(json.dumps(each))) >= _LARGEST_ANNOTATION
    }

    assert {} == large
