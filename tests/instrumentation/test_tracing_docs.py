"""docs/tracing.md and the code: the same attributes, settings, labels and examples."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prefect_instrumentation import _correlation, _propagation, _settings, attributes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples" / "tracing"
FILES = sorted(EXAMPLES.glob("[!_]*.py"))


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, without their fences."""
    return re.findall(rf"^```{language}\n(.*?\n)```$", PAGE, re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one of any level."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Return the names in the first cells of a text's tables, one cell holding several at times."""
    return re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)))


def test_attributes_are_those_of_the_code() -> None:
    """The table has every attribute once, and no other; what a parameter's name follows says so."""
    code = [
        f"{value}<name>" if value.endswith(".") else value
        for name, value in vars(attributes).items()
        if name.isupper()
    ]

    assert sorted(code) == sorted(first_column(section("### Attributes")))


def test_settings_are_those_of_the_code() -> None:
    """The tables have every setting of ours, and the page names none that there is not."""
    code = {
        _settings.ENVIRONMENT,
        _settings.LINK_AFTER,
        _settings.EXIT_TIMEOUT,
        _settings.PUSHGATEWAY,
    }
    ours = {name for name in vars(_settings).values() if _is_ours(name)}
    tables = {name for name in first_column(section("## Settings")) if _is_ours(name)}
    named = set(re.findall(r"PREFECT_INSTRUMENTATION_[A-Z_]+", PAGE))

    assert code == ours == tables == named


def test_settings_have_the_defaults_of_the_code() -> None:
    """A default in the table is the one that holds where nothing is set."""
    row = re.compile(rf"^\| `{_settings.EXIT_TIMEOUT}` \| `(\w+)` \|", re.MULTILINE)
    (default,) = row.findall(PAGE)

    assert _settings.read({}) == _settings.read({_settings.EXIT_TIMEOUT: default})


def test_labels_are_those_of_the_code() -> None:
    """The table has every label that carries a trace, and no other."""
    code = {value for name, value in vars(_propagation).items() if _is_label(name, value)}
    code.add(_correlation.LABEL)

    assert code == set(first_column(section("## From one process to the next")))


@pytest.mark.parametrize("block", blocks("json"), ids=range(len(blocks("json"))))
def test_variables_of_pools_are_json(block: str) -> None:
    """What is there to be copied is JSON, and turns the plugin on."""
    assert "PREFECT_PLUGINS_ENABLED" in json.loads(block)


def test_sampling_policy_is_yaml() -> None:
    """The collector's part is YAML, and keeps what failed."""
    (block,) = blocks("yaml")
    policies = yaml.safe_load(block)["processors"]["tail_sampling"]["policies"]

    assert ["ERROR"] == policies[0]["status_code"]["status_codes"]


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_examples_stand_whole_in_the_docs(file: Path) -> None:
    """Whoever copies a block has what the repository has."""
    assert file.read_text(encoding="utf-8") in blocks("python")


def test_links_lead_somewhere() -> None:
    """Every link within the page has its heading, every other one its file."""
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)#]*)(?:#([\w-]+))?\)", PAGE)
    files = {path for path, _ in links if path and not path.startswith("http")}

    assert set() == {anchor for path, anchor in links if not path} - anchors
    assert [] == [path for path in files if not (ROOT / "docs" / path).is_file()]


PATIENCE = """
from functools import partial
from prefect.testing import utilities
utilities.prefect_test_harness = partial(utilities.prefect_test_harness, server_startup_timeout=200)
"""
"""A `conftest.py`: on a busy machine a server takes longer to start than the usual 30 s."""


@pytest.mark.real
@pytest.mark.timeout(300)
def test_test_of_the_docs_passes(tmp_path: Path) -> None:
    """The golden tree of the example is what the example makes, as the page's own test says."""
    (block,) = (each for each in blocks("python") if "recorded_spans" in each)
    (tmp_path / "test_orders.py").write_text(block, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(PATIENCE, encoding="utf-8")
    shutil.copy(EXAMPLES / "orders.py", tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=env | {"PREFECT_HOME": str(tmp_path / "home"), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout[-3000:]


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith("PREFECT_INSTRUMENTATION_")


def _is_label(name: str, value: object) -> bool:
    return name.isupper() and isinstance(value, str) and value.startswith("__")
