"""The rules in deploy/prometheus: Prometheus reads them, and each does what its own test says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from contexts import settings_of
from prefect_exporter import collectors

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool, which comes with Prometheus."""
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_are_read_by_prometheus(path: Path) -> None:
    """Every rule file is valid."""
    done = promtool("check", "rules", str(path))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_do_what_their_test_says(path: Path) -> None:
    """Every rule file has a test of its own, and passes it."""
    done = promtool("test", "rules", str(DEPLOY / "tests" / path.name))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_speak_of_metrics_that_exist(path: Path) -> None:
    """No rule reads a metric that the exporter does not have."""
    every = collectors.every(settings_of())
    names = {family.name for each in every for family in each.families}
    names |= {family.name for each in every for family in each.counted}
    read = set(re.findall(r"(?<![:\w])prefect_[a-z_]+(?!\w*:)", path.read_text()))

    assert read
    assert set() == read - names
