"""Who is told: label sets and their receivers, by amtool and the configuration that we generate."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import generated
from alerting.routes import time_intervals
from alerting.setup import Setup
from alerting.teams import DAYS, Teams
from alertmanagers import SHIPPED, write
from monitoring import tool

_TEAMS = Teams.model_validate(
    {
        "default": "platform",
        "dead_mans_switch": "switch",
        "email": {"sender": "a@b.c", "server": "smtp.example.com:587", "user": "a"},
        "teams": {
            "platform": {
                "critical": {"pagerduty": "platform_pagerduty"},
                "warning": {"slack": "platform_slack"},
            },
            "payments": {
                "critical": {"pagerduty": "payments_pagerduty", "slack": "#payments"},
                "warning": {"slack": "#payments", "email": ["payments@example.com"]},
                "info": {"webhook": "noise"},
                "office_hours": {"zone": "Europe/Berlin"},
            },
            "Data Science": {"warning": {"teams": "data_teams"}},
        },
    }
)


@pytest.fixture(name="config", scope="module")
def _config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routes")
    (folder / "templates").symlink_to(SHIPPED.parent / "templates")
    return write(folder / "alertmanager.yml", _TEAMS, Setup())


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("team=payments severity=critical", "payments/critical"),
        ("team=payments severity=warning", "payments/warning"),
        ("team=payments severity=info", "payments/info"),
        ("team=payments severity=none", "nobody"),
        # A severity that nobody knows, or none at all, is not lost.
        ("team=payments severity=urgent", "payments/warning"),
        ("team=payments", "payments/warning"),
        # What is critical goes where warnings go if a team names nothing else.
        ('team="Data Science" severity=critical', "Data Science/critical"),
        ('team="Data Science" severity=info', "nobody"),
        ("team=platform severity=critical", "platform/critical"),
        ("team=platform severity=warning", "platform/warning"),
        ("team=platform severity=info", "nobody"),
        # No owner, an unknown one, and one that only looks like a team.
        ("severity=critical", "platform/critical"),
        ("severity=warning flow=etl deployment=nightly", "platform/warning"),
        ("team=ghosts severity=critical", "platform/critical"),
        ("team=Payments severity=warning", "platform/warning"),
        ("team=payments-eu severity=warning", "platform/warning"),
        ("alertname=NotOurs", "platform/warning"),
        ("alertname=Watchdog severity=none", "dead_mans_switch"),
        ("alertname=Watchdog severity=none team=payments", "dead_mans_switch"),
        ("alertname=Other severity=none", "nobody"),
    ],
)
def test_labels_lead_to_the_receiver(config: Path, labels: str, receiver: str) -> None:
    """Team first, then severity; nothing is told to nobody that somebody should hear."""
    arguments = re.findall(r'\w+=(?:"[^"]*"|\S+)', labels)
    command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={config}"]

    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == receiver


@pytest.mark.parametrize("shipped", [True, False], ids=["shipped", "all channels"])
def test_alertmanager_takes_the_configuration(config: Path, *, shipped: bool) -> None:
    """Alertmanager's own check finds nothing wrong, templates and all."""
    checked = SHIPPED if shipped else config

    done = subprocess.run(
        [tool("amtool"), "check-config", checked], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "1 templates" in done.stdout


@pytest.mark.parametrize(
    ("days", "listed"),
    [
        ("friday", ["friday"]),
        ("monday-wednesday", ["monday", "tuesday", "wednesday"]),
        ("sunday-monday", ["sunday", "monday"]),
        ("tuesday-monday", [*DAYS[1:], "monday"]),
    ],
)
def test_week_may_begin_on_any_day(days: str, listed: list[str]) -> None:
    """Days from the first to the last are office days, over the end of the week too."""
    hours = {"days": days, "zone": "UTC"}
    teams = Teams.model_validate({"default": "a", "teams": {"a": {"office_hours": hours}}})

    (interval,) = time_intervals(teams)[0]["time_intervals"]

    assert interval["weekdays"] == listed


def test_shipped_configuration_tells_nobody_and_names_no_secret() -> None:
    """A fresh installation has no channel that could fail."""
    text = SHIPPED.read_text()

    assert ("_configs" in text, "/run/secrets" in text) == (False, False)


def test_shipped_configuration_is_in_step_with_the_teams() -> None:
    """What `make generate` would write lies there already."""
    done = subprocess.run(
        [sys.executable, "-m", "alerting", "--check"],
        cwd=generated.ROOT / "deploy",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
