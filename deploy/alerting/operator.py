"""The configuration as Prometheus Operator reads it, which refuses keys that it does not know.

It knows no names of inhibitions, no threads of email, no bot's token for Slack and fewer timeouts
than Alertmanager itself (v0.85, and those before it), and drops the whole file for one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerting.document import configuration
from alerting.setup import Setup
from alerting.teams import Teams

# A Secret of this name; the chart puts the user's in its place.
SECRET = "prefect-alerts"  # noqa: S105  a name
# Where the operator mounts Secrets that an Alertmanager lists, and the one with its configuration.
SETUP = Setup(
    secrets=f"/etc/alertmanager/secrets/{SECRET}", templates="/etc/alertmanager/config/*.tmpl"
)

_POST = "https://slack.com/api/chat.postMessage"
_UNKNOWN: Mapping[str, frozenset[str]] = {
    "pagerduty_configs": frozenset({"timeout"}),
    "slack_configs": frozenset({"timeout", "app_token_file", "app_url"}),
    "email_configs": frozenset({"threading"}),
}


def operator_configuration(teams: Teams, setup: Setup = SETUP) -> dict[str, Any]:
    """Return the document that alertmanager-operator.yaml holds."""
    document = configuration(teams, setup)
    inhibitions = [
        {key: value for key, value in each.items() if key != "name"}
        for each in document["inhibit_rules"]
    ]
    receivers = [_receiver(each) for each in document["receivers"]]
    return {**document, "inhibit_rules": inhibitions, "receivers": receivers}


def _receiver(receiver: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: [_integration(key, each) for each in value] if key.endswith("_configs") else value
        for key, value in receiver.items()
    }


def _integration(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    unknown = _UNKNOWN.get(kind, frozenset())
    known = {key: value for key, value in settings.items() if key not in unknown}
    if "app_token_file" not in settings:
        return known
    token = {"type": "Bearer", "credentials_file": settings["app_token_file"]}
    return {
        "api_url": settings.get("app_url", _POST),
        "http_config": {"authorization": token},
        **known,
    }
