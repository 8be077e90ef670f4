"""What of the configuration is no person's choice: times, folders and addresses of services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerting.teams import Severity


@dataclass(frozen=True, slots=True)
class Timing:
    """How soon and how often a group of alerts is told, in Alertmanager's durations.

    Args:
        wait: Before the first message, for others to join it.
        interval: Before the next one, when something joined or ended.
        repeat: Before the same is told again.
    """

    wait: str
    interval: str
    repeat: str


# Rules are evaluated every 15 s: within 30 s the alert is there that silences what follows from it.
_TIMINGS: Mapping[Severity, Timing] = {
    "critical": Timing("30s", "5m", "4h"),
    "warning": Timing("1m", "10m", "1d"),
    "info": Timing("5m", "1h", "1d"),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """Where things are and how long they take; tests have their own.

    Args:
        secrets: The folder with the secret files, as Alertmanager sees it.
        templates: Of messages; a relative path is one from the configuration.
        watchdog: How often the dead man's switch hears that all is well.
        pagerduty_url: None for PagerDuty's own.
        slack_url: Where the bot posts; None for Slack's own.
    """

    secrets: str = "/run/secrets/alerts"
    templates: str = "templates/*.tmpl"
    timings: Mapping[Severity, Timing] = field(default_factory=lambda: _TIMINGS)
    watchdog: Timing = Timing("0s", "1m", "4m")
    pagerduty_url: str | None = None
    slack_url: str | None = None
