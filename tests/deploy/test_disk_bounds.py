"""All of docker-compose.yml that writes to disk has a bound, which docs/operations.md names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from alert_rules import ALERTS, ROOT

_COMPOSE = (ROOT / "docker-compose.yml").read_text()
_STACK: Mapping[str, Any] = yaml.safe_load(_COMPOSE)


def _rows() -> Sequence[Sequence[str]]:
    """The cells of the table of volumes."""
    section = (ROOT / "docs" / "operations.md").read_text().split("## What writes to disk")[1]
    lines = re.findall(r"^\| `.*\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _named(column: int) -> set[str]:
    return {name for row in _rows() for name in re.findall(r"`(\w[\w-]*)`", row[column])}


def test_every_volume_stands_in_the_table() -> None:
    """The table has each volume of the file, and besides only those that an override adds."""
    overrides = "\n".join(path.read_text() for path in ROOT.glob("docker-compose.*.yml"))
    blocks = re.findall(r"^volumes:\n((?:  .*\n?)+)", overrides, re.MULTILINE)
    added = set(re.findall(r"^  ([\w-]+):", "".join(blocks), re.MULTILINE))

    assert set() == set(_STACK["volumes"]) - _named(0)
    assert set() == _named(0) - set(_STACK["volumes"]) - added


def test_every_volume_that_grows_has_an_alert() -> None:
    """What has a bound by time, size or number is watched too, by alerts that exist."""
    unwatched = [row[0] for row in _rows() if row[2] and not row[4]]

    assert [] == unwatched
    assert set() == _named(4) - {alert.name for alert in ALERTS}


def test_every_variable_of_the_table_can_be_set() -> None:
    """Each variable of the table is one that docker-compose.yml reads."""
    assert set() == {name for name in _named(3) if f"${{{name}:-" not in _COMPOSE}


def test_every_container_puts_its_log_aside_by_size() -> None:
    """No service has another logging than the one with a size and a number of files."""
    bound = _STACK["x-container"]["logging"]

    assert {"max-size", "max-file"} <= bound["options"].keys()
    assert [] == [
        name for name, service in _STACK["services"].items() if service.get("logging") != bound
    ]
