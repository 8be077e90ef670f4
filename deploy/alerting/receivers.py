"""Receivers as Alertmanager writes them, one for each severity that a team hears of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alerting.setup import Setup
from alerting.teams import Channels, Severity, Teams

NOBODY = "nobody"
DEAD_MANS_SWITCH = "dead_mans_switch"
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")

# A service that hangs is asked again, and must not keep back the others' next message.
_TIMEOUT = "10s"
_MOST_ALERTS = 50


def receiver_of(teams: Teams, team: str, severity: Severity) -> str:
    """Return the name of who is told."""
    return f"{team}/{severity}" if teams.teams[team].channels(severity) else NOBODY


def receivers(teams: Teams, setup: Setup) -> list[dict[str, Any]]:
    """Return Alertmanager's list ``receivers``; the first has no channel."""
    listed = [
        {"name": receiver_of(teams, name, severity), **dict(_integrations(channels, setup))}
        for name, team in teams.teams.items()
        for severity in SEVERITIES
        if (channels := team.channels(severity))
    ]
    return [{"name": NOBODY}, *_switch(teams.dead_mans_switch, setup), *listed]


def _switch(secret: str, setup: Setup) -> Iterator[dict[str, Any]]:
    if secret:
        webhook = {"url_file": f"{setup.secrets}/{secret}", "send_resolved": False}
        yield {"name": DEAD_MANS_SWITCH, "webhook_configs": [{**webhook, "timeout": _TIMEOUT}]}


def _integrations(channels: Channels, setup: Setup) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if channels.pagerduty:
        yield "pagerduty_configs", [_pagerduty(f"{setup.secrets}/{channels.pagerduty}", setup)]
    if channels.webhook:
        yield "webhook_configs", [_webhook(f"{setup.secrets}/{channels.webhook}")]
    if channels.slack:
        yield "slack_configs", [_slack(channels.slack, setup)]
    if channels.teams:
        yield "msteamsv2_configs", [_teams(f"{setup.secrets}/{channels.teams}")]
    if channels.email:
        yield "email_configs", [_email(", ".join(channels.email))]


def _template(name: str) -> str:
    return f'{{{{ template "prefect.{name}" . }}}}'


def _pagerduty(key_file: str, setup: Setup) -> dict[str, Any]:
    return {
        "routing_key_file": key_file,
        **({"url": setup.pagerduty_url} if setup.pagerduty_url else {}),
        "send_resolved": True,
        "timeout": _TIMEOUT,
        "client_url": "{{ .ExternalURL }}",
        "description": _template("subject"),
        "severity": _template("pagerduty.severity"),
        "source": _template("pagerduty.source"),
        "component": _template("pagerduty.component"),
        "class": _template("pagerduty.class"),
        # Alertmanager's own of these names have all alerts, whatever their number.
        "details": {
            "firing": _template("pagerduty.firing"),
            "resolved": _template("pagerduty.resolved"),
        },
        "links": [
            {"href": _template("pagerduty.dashboard"), "text": "Dashboard"},
            {"href": _template("pagerduty.runbook"), "text": "Runbook"},
        ],
    }


def _webhook(address_file: str) -> dict[str, Any]:
    return {
        "url_file": address_file,
        "send_resolved": True,
        "max_alerts": _MOST_ALERTS,
        "timeout": _TIMEOUT,
    }


def _slack(channel: str, setup: Setup) -> dict[str, Any]:
    if channel.startswith("#"):
        where = {"app_token_file": f"{setup.secrets}/slack_token", "channel": channel}
        where |= {"app_url": setup.slack_url} if setup.slack_url else {}
    else:
        where = {"api_url_file": f"{setup.secrets}/{channel}"}
    return {
        **where,
        "send_resolved": True,
        "timeout": _TIMEOUT,
        "color": _template("slack.color"),
        "title": _template("slack.title"),
        "title_link": "",
        "fallback": _template("slack.title"),
        "text": _template("slack.text"),
        # Not the text: names from Prefect are no markup.
        "mrkdwn_in": ["pretext"],
    }


def _teams(address_file: str) -> dict[str, Any]:
    return {
        "webhook_url_file": address_file,
        "send_resolved": True,
        "title": _template("teams.title"),
        "text": _template("teams.text"),
    }


def _email(addresses: str) -> dict[str, Any]:
    return {
        "to": addresses,
        "send_resolved": True,
        "headers": {"Subject": _template("subject")},
        "text": _template("email.text"),
        "html": _template("email.html"),
        # All messages about one group, of whatever day, are one thread.
        "threading": {"enabled": True, "thread_by_date": "none"},
    }
