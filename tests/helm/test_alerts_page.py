"""The page docs/kubernetes-alerts.md: what it tells users to write can be used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from generated import ROOT
from helm.rendering import HELM, SOURCE, chart, of_kind, render

_PAGE = (ROOT / "docs" / "kubernetes-alerts.md").read_text()


def _examples() -> list[Any]:
    """Return the page's values of this chart, and of no other."""
    blocks = re.findall(r"(?ms)^```yaml\n(.*?)^```", _PAGE)
    ours = yaml.safe_load((SOURCE / "values.yaml").read_text()).keys()
    values = [yaml.safe_load(each) for each in blocks if "alertmanagerSpec" not in each]
    return [each for each in values if each.keys() <= ours]


def test_values_of_the_page_can_be_used() -> None:
    """Each example renders, and together they name Prefect's server and its database."""
    made = [
        each for values in _examples() for each in of_kind(render(values=values), "ServiceMonitor")
    ]
    names = {each["metadata"]["name"].removeprefix("obs-prefect-observability-") for each in made}

    assert {"prefect-server", "postgres", "redis", "exporter"} <= names


def test_figures_of_ones_own_go_in_as_the_page_says(tmp_path: Path) -> None:
    """What `python -m kpi` writes is taken by the options that the page gives."""
    kpis = ROOT / "deploy" / "kpi" / "kpis.yml"
    make = [sys.executable, "-m", "kpi", "--kpis", str(kpis), "--rules", str(tmp_path / "out")]
    subprocess.run(make, cwd=ROOT / "deploy", check=True, capture_output=True)
    options = re.findall(r"--set-file '(rules\.files\.[^=]+)=(out/[^']+)'", _PAGE)
    given = [f"--set-file={key}={tmp_path / file}" for key, file in options]
    command = [str(HELM), "template", "obs", str(chart()), "--set=rules.groups.kpi=true", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(options) == len([*(tmp_path / "out").rglob("*.yml")])
    assert 'name: "obs-prefect-observability-kpi"' in done.stdout


def test_keys_that_the_page_names_exist() -> None:
    """Every value that the text names in code has a place in values.yaml."""
    values = yaml.safe_load((SOURCE / "values.yaml").read_text())
    sections = "alertmanager|backup|blackbox|dashboards|exporter|links|monitors|rules"
    named = set(re.findall(rf"`((?:{sections})(?:\.[A-Za-z-]+)+)", _PAGE))
    missing = {name for name in named if not _has(values, name.split("."))}

    assert named
    assert missing <= {"alertmanager.config.templates"}


def _has(values: Any, path: list[str]) -> bool:  # noqa: ANN401  YAML's
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True
