"""The rules in deploy/prometheus as tests read them, and promtool, which tries them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import tool

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, recording or alerting, and where it stands below deploy/prometheus/rules."""

    path: Path
    group: str
    fields: Mapping[str, Any]

    @property
    def expr(self) -> str:
        """The rule's expression."""
        return str(self.fields["expr"])

    @property
    def name(self) -> str:
        """What it records, or the alert's name."""
        return str(self.fields.get("alert") or self.fields["record"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the rule adds."""
        return dict(self.fields.get("labels", {}))

    @property
    def annotations(self) -> dict[str, str]:
        """An alert's texts and links."""
        return dict(self.fields["annotations"])


def _rules(folder: Path) -> Iterator[Rule]:
    for path in sorted(folder.glob("*/*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for fields in group["rules"]:
                yield Rule(path.relative_to(folder), group["name"], fields)


RULES = tuple(_rules(PROMETHEUS / "rules"))
PATHS = sorted({rule.path for rule in RULES})
ALERTS = tuple(rule for rule in RULES if "alert" in rule.fields)
RECORDED = {rule.name: rule.expr for rule in RULES if "record" in rule.fields}

each_file = pytest.mark.parametrize("path", PATHS, ids=str)
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.path.stem)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, which comes with Prometheus."""
    command = [tool("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
