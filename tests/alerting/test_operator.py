"""The same teams for Prometheus Operator: in its words, with nothing lost on the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import generated
from alert_examples import alert, beginning
from alert_rules import ALERTS
from alert_sinks import web_sink
from alerting.document import configuration
from alerting.operator import SECRET, SETUP, operator_configuration
from alerting.resource import COMPONENTS, SLACK_URL, resource
from alerting.teams import Teams
from alertmanagers import alertmanager, quick
from demo.processes import wait_until

_EVERYTHING: dict[str, Any] = {
    "default": "platform",
    "dead_mans_switch": "switch",
    "email": {"sender": "a@b.c", "server": "smtp.example.com:587", "user": "a"},
    "teams": {
        "platform": {
            "critical": {"pagerduty": "platform_pagerduty"},
            "warning": {"slack": "platform_slack"},
        },
        "payments": {
            "critical": {"slack": "#payments"},
            "warning": {"slack": "#payments", "email": ["payments@example.com"]},
            "info": {"webhook": "noise"},
            "office_hours": {"zone": "Europe/Berlin"},
        },
        "Data Science": {"warning": {"teams": "data_teams"}, "office_hours": {"zone": "UTC"}},
    },
}
_TEAMS = Teams.model_validate(_EVERYTHING)
_TIMES = ("group_wait", "group_interval", "repeat_interval")
# What Prometheus Operator v0.85 knows of what we may write; it refuses a file with anything else.
_KNOWN = {
    "": {"global", "templates", "route", "time_intervals", "inhibit_rules", "receivers"},
    "inhibit_rules": {"source_matchers", "target_matchers", "equal"},
    "pagerduty_configs": {
        *("routing_key_file", "url", "send_resolved", "client_url", "description", "severity"),
        *("source", "component", "class", "details", "links"),
    },
    "webhook_configs": {"url_file", "send_resolved", "max_alerts", "timeout"},
    "slack_configs": {
        *("api_url", "api_url_file", "http_config", "channel", "send_resolved", "color", "title"),
        *("title_link", "fallback", "text", "mrkdwn_in"),
    },
    "msteamsv2_configs": {"webhook_url_file", "send_resolved", "title", "text"},
    "email_configs": {"to", "send_resolved", "headers", "text", "html"},
}


def _integrations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each integration of each receiver, with its kind."""
    for receiver in document["receivers"]:
        for kind, listed in receiver.items():
            if kind != "name":
                yield from ((kind, each) for each in listed)


def test_operator_knows_every_key() -> None:
    """No key is left that the operator would refuse the whole configuration for."""
    document = operator_configuration(_TEAMS)
    used = {("", key) for key in document}
    used |= {("inhibit_rules", key) for each in document["inhibit_rules"] for key in each}
    used |= {(kind, key) for kind, each in _integrations(document) for key in each}

    assert set() == used - {(kind, key) for kind, keys in _KNOWN.items() for key in keys}


def test_only_what_the_operator_does_not_know_is_gone() -> None:
    """Routes, inhibitions, receivers and their texts are those of the Compose stack."""
    compose, made = configuration(_TEAMS, SETUP), operator_configuration(_TEAMS)
    lost = {
        (kind, key)
        for (kind, before), (_, after) in zip(
            _integrations(compose), _integrations(made), strict=True
        )
        for key in before.keys() - after.keys()
    }

    assert compose["route"] == made["route"]
    assert [each["name"] for each in compose["receivers"]] == [
        each["name"] for each in made["receivers"]
    ]
    assert [
        {key: value for key, value in each.items() if key != "name"}
        for each in compose["inhibit_rules"]
    ] == made["inhibit_rules"]
    assert lost == {
        ("email_configs", "threading"),
        ("pagerduty_configs", "timeout"),
        ("slack_configs", "app_token_file"),
        ("slack_configs", "timeout"),
    }


@pytest.mark.real
def test_slacks_bot_posts_with_its_token(tmp_path: Path) -> None:
    """Without a word for a bot, its token still goes with the message, to the channel."""
    bot = {"warning": {"slack": "#platform"}}
    teams = Teams.model_validate({"default": "platform", "teams": {"platform": bot}})
    (tmp_path / "slack_token").write_text("xoxb-hush")
    with web_sink() as web:
        document = operator_configuration(teams, quick(tmp_path, web.url))
        config = tmp_path / "alertmanager.yml"
        config.write_text(generated.as_yaml(document, source=config))
        with alertmanager(config, tmp_path) as manager:
            manager.post(beginning([alert("PrefectFlowRunsLate")]))
            wait_until(lambda: bool(web.received), within=60, what="a message")
        (message,) = web.received

    assert (message.path, message.authorization) == ("/bot", "Bearer xoxb-hush")
    assert message.body["channel"] == "#platform"
    assert "PrefectFlowRunsLate" in message.body["attachments"][0]["title"]


def test_resource_names_every_secret_by_its_file() -> None:
    """What is a file for Compose is a key of the Secret, and no path is left in the resource."""
    text = json.dumps(resource(_TEAMS))
    files = re.findall(rf"{SETUP.secrets}/([\w-]+)", json.dumps(operator_configuration(_TEAMS)))
    keys = re.findall(rf'"name": "{SECRET}", "key": "([\w-]+)"', text)

    assert set(files) | {SLACK_URL} == set(keys)
    assert "/etc/" not in text


def test_resource_has_the_routes_of_the_configuration() -> None:
    """Routes and inhibitions match by the same labels, in the same order."""
    made, document = resource(_TEAMS)["spec"], operator_configuration(_TEAMS)

    assert _flat(made["route"])[1:] == _flat(document["route"])[1:]
    assert [(each["sourceMatch"], each["targetMatch"]) for each in made["inhibitRules"]] == [
        (
            [_matcher(one) for one in each["source_matchers"]],
            [_matcher(one) for one in each["target_matchers"]],
        )
        for each in document["inhibit_rules"]
    ]
    assert [each["name"] for each in document["receivers"]] == [
        each["name"] for each in made["receivers"]
    ]


def _flat(route: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return a route and those below it as receiver, matchers and times."""
    times = [route.get(key) for key in ("groupWait", "groupInterval", "repeatInterval")]
    times = [given or route.get(key) for given, key in zip(times, _TIMES, strict=True)]
    matchers = [_matcher(each) for each in route.get("matchers", ())]
    below = [each for one in route.get("routes", ()) for each in _flat(one)]
    return [(route["receiver"], matchers, *times), *below]


def _matcher(given: str | dict[str, str]) -> dict[str, str]:
    """Return a matcher as the resource has it, of either form."""
    if isinstance(given, dict):
        return given
    name, kind, value = re.split(r"(=~|!~|!=|=)", given, maxsplit=1)
    return {"name": name, "matchType": kind, "value": value.strip('"')}


def test_resource_takes_our_alerts_alone() -> None:
    """In an Alertmanager of many, each alert of ours is let in, and nothing without a component."""
    (matcher,) = resource(_TEAMS)["spec"]["route"]["matchers"]

    assert set(COMPONENTS) == {each.labels["component"] for each in ALERTS}
    assert {"name": "component", "matchType": "=~", "value": "|".join(COMPONENTS)} == matcher


def test_office_hours_that_a_resource_cannot_tell_keep_nothing_back() -> None:
    """It has no time zones: only hours in UTC stay; else warnings come at any hour."""
    spec = resource(_TEAMS)["spec"]
    text = json.dumps(spec["route"])
    (hours,) = spec["muteTimeIntervals"]

    assert hours["name"] == "Data Science"
    assert {'"Data Science"'} == set(re.findall(r'activeTimeIntervals": \[(.*?)\]', text))
    assert [{"startTime": "09:00", "endTime": "17:00"}] == hours["timeIntervals"][0]["times"]


def test_each_email_knows_its_server() -> None:
    """What all emails share has no place of its own in a resource, so each has it."""
    emails = [
        each for kind, each in _integrations(resource(_TEAMS)["spec"]) if kind == "emailConfigs"
    ]
    server = {
        "from": "a@b.c",
        "smarthost": "smtp.example.com:587",
        "requireTLS": True,
        "authUsername": "a",
        "authPassword": {"name": SECRET, "key": "email_password"},
    }

    assert emails
    assert all(server.items() <= each.items() for each in emails)


def test_teams_of_ones_own_are_written_where_one_likes(tmp_path: Path) -> None:
    """Who installs the chart gets all three files from teams of their own, and where they like."""
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(_EVERYTHING, sort_keys=False))
    given = ("--teams", str(tmp_path / "mine.yml"), "--into", str(tmp_path))
    command = [sys.executable, "-m", "alerting", *given]
    done = subprocess.run(
        command, cwd=generated.ROOT / "deploy", capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert operator_configuration(_TEAMS) == yaml.safe_load(
        (tmp_path / "alertmanager-operator.yaml").read_text()
    )
    assert resource(_TEAMS) == yaml.safe_load((tmp_path / "alertmanagerconfig.yaml").read_text())
    assert configuration(_TEAMS) == yaml.safe_load((tmp_path / "alertmanager.yml").read_text())


def test_shipped_files_tell_nobody() -> None:
    """A fresh installation has no channel that could fail, and names no Secret."""
    folder = generated.ROOT / "deploy" / "alertmanager"
    texts = [
        (folder / name).read_text()
        for name in ("alertmanager-operator.yaml", "alertmanagerconfig.yaml")
    ]

    assert not any(SECRET in text or "onfigs:" in text for text in texts)
