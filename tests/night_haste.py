"""The shipped rules and routes with shorter waiting times, for those who cannot wait."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from alerting.setup import Setup, Timing
from alerting.teams import Teams
from generated import ROOT
from pictures.boards import seconds

FASTER = 30
"""What the waiting times of rules and routes are divided by: 15 minutes are half a minute."""

TEAMS = ("platform", "data", "retail", "wholesale", "logistics")
"""Who is told of a night; the first one also hears of what has no owner."""

SWITCH = "dead_mans_switch"

RULES = ROOT / "deploy" / "prometheus" / "rules"


def copied_rules(folder: Path, alerts: frozenset[str]) -> Iterator[Path]:
    """Write each shipped file of rules into *folder*, in haste; yield the copies."""
    for shipped in sorted(RULES.glob("*/*.yml")):
        copy = folder / shipped.parent.name / shipped.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(hastened(yaml.safe_load(shipped.read_text()), alerts)))
        yield copy


def hastened(rules: Mapping[str, Any], alerts: frozenset[str]) -> Mapping[str, Any]:
    """Return a file of rules with its waiting times divided by `FASTER`.

    Recordings are evaluated as often as all else. An alert's ``for`` is shortened where it is one
    of *alerts*; the others wait as long as in production, so that a machine that is only slow
    raises none of them.
    """
    groups = [
        {
            **{key: value for key, value in group.items() if key != "interval"},
            "rules": [_sooner(rule, alerts) for rule in group["rules"]],
        }
        for group in rules["groups"]
    ]
    return {"groups": groups}


def _sooner(rule: Mapping[str, Any], alerts: frozenset[str]) -> Mapping[str, Any]:
    if "for" not in rule or rule["alert"] not in alerts:
        return rule
    return {**rule, "for": _divided(rule["for"])}


def in_haste(setup: Setup) -> Setup:
    """Return a setup in which messages wait a `FASTER`-th of what they do in the stack."""
    return replace(setup, timings={name: _soon(each) for name, each in Setup().timings.items()})


def _soon(timing: Timing) -> Timing:
    return Timing(*map(_divided, (timing.wait, timing.interval, timing.repeat)))


def _divided(duration: str) -> str:
    return f"{seconds(duration) * 1000 // FASTER}ms"


def teams(names: Sequence[str] = TEAMS) -> Teams:
    """Return teams with a webhook each, whose address is in a file of the team's name."""
    return Teams.model_validate(
        {
            "default": names[0],
            "dead_mans_switch": SWITCH,
            "teams": {name: {"warning": {"webhook": name}} for name in names},
        }
    )
