"""An AlertmanagerConfig: the same routes beside those that others configure for one Alertmanager.

Prometheus Operator puts it together with theirs. Addresses and keys are named by Secret and key;
the texts of messages are named, and their templates mounted into Alertmanager by whoever runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from alerting.operator import SECRET, operator_configuration
from alerting.teams import OfficeHours, Teams

# The Secret's key for where Slack's bot posts: the resource takes no address from elsewhere.
SLACK_URL = "slack_url"
# What our alerts have and those of others have not: their folders of rules.
COMPONENTS = (
    "backup",
    "database",
    "flows",
    "kpi",
    "pipelines",
    "schedules",
    "server",
    "slo",
    "telemetry",
    "work-pools",
)

_MATCHER = re.compile(r'(?P<name>\w+)(?P<type>=~|!~|!=|=)"(?P<value>.*)"')
_RENAMED = {
    "api_url_file": "apiURL",
    "client_url": "clientURL",
    "pagerduty_configs": "pagerdutyConfigs",
    "routing_key_file": "routingKey",
    "url_file": "urlSecret",
    "webhook_url_file": "webhookURL",
}

Settings = Mapping[str, Any]


def resource(teams: Teams) -> dict[str, Any]:
    """Return the object; the chart gives it a name, labels and the name of the user's Secret."""
    document = operator_configuration(teams)
    zoned = {name for name, team in teams.teams.items() if not _utc(team.office_hours)}
    intervals = [
        _interval(each) for each in document.get("time_intervals", ()) if each["name"] not in zoned
    ]
    mail = _mail(document.get("global", {}))
    ours = {"name": "component", "matchType": "=~", "value": "|".join(COMPONENTS)}
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "prefect"},
        "spec": {
            "route": {"matchers": [ours], **_route(document["route"], zoned)},
            **({"muteTimeIntervals": intervals} if intervals else {}),
            "inhibitRules": [_inhibition(each) for each in document["inhibit_rules"]],
            "receivers": [_receiver(each, mail) for each in document["receivers"]],
        },
    }


def _utc(hours: OfficeHours | None) -> bool:
    return hours is None or hours.zone in {"UTC", "Etc/UTC"}


def _route(route: Settings, zoned: set[str]) -> dict[str, Any]:
    """Return a route and those below it.

    The resource knows no time zones: rather at any hour than at the wrong one.
    """
    made = {_camel(key): value for key, value in route.items()}
    if "matchers" in made:
        made["matchers"] = [_matcher(each) for each in made["matchers"]]
    if "routes" in made:
        made["routes"] = [_route(each, zoned) for each in made["routes"]]
    if zoned & set(made.get("activeTimeIntervals", ())):
        del made["activeTimeIntervals"]
    return made


def _matcher(text: str) -> dict[str, str]:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return {"name": found["name"], "matchType": found["type"], "value": found["value"]}


def _inhibition(rule: Settings) -> dict[str, Any]:
    return {
        "sourceMatch": [_matcher(each) for each in rule["source_matchers"]],
        "targetMatch": [_matcher(each) for each in rule["target_matchers"]],
        **({"equal": rule["equal"]} if "equal" in rule else {}),
    }


def _interval(interval: Settings) -> dict[str, Any]:
    spans = [
        {
            "weekdays": each["weekdays"],
            "times": [
                {"startTime": at["start_time"], "endTime": at["end_time"]} for at in each["times"]
            ],
        }
        for each in interval["time_intervals"]
    ]
    return {"name": interval["name"], "timeIntervals": spans}


def _receiver(receiver: Settings, mail: Settings) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in receiver.items():
        if key == "name":
            made["name"] = value
            continue
        added = mail if key == "email_configs" else {}
        made[_camel(key)] = [{**added, **dict(_settings(each))} for each in value]
    return made


def _settings(settings: Settings) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        match key:
            case "links":
                links = [{"href": each["href"], "alt": each["text"]} for each in value]
                yield "pagerDutyLinkConfigs", links
            case "details" | "headers":
                yield key, [{"key": name, "value": text} for name, text in value.items()]
            case "api_url":
                yield "apiURL", _reference(SLACK_URL)
            case "http_config":
                token = value["authorization"]["credentials_file"]
                credentials = {"type": "Bearer", "credentials": _reference(token)}
                yield "httpConfig", {"authorization": credentials}
            case _:
                yield _camel(key), _reference(value) if key.endswith("_file") else value


def _mail(server: Settings) -> dict[str, Any]:
    """Return what each email needs, as the resource has no place for what all share."""
    if not server:
        return {}
    login = {}
    if "smtp_auth_username" in server:
        password = _reference(server["smtp_auth_password_file"])
        login = {"authUsername": server["smtp_auth_username"], "authPassword": password}
    return {
        "from": server["smtp_from"],
        "smarthost": server["smtp_smarthost"],
        "requireTLS": server["smtp_require_tls"],
        **login,
    }


def _reference(file: str) -> dict[str, str]:
    return {"name": SECRET, "key": PurePosixPath(file).name}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return _RENAMED.get(name) or first + "".join(each.capitalize() for each in others)
