"""Who is told on Kubernetes: the chart's configurations, by Alertmanager's own tools."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting.operator import operator_configuration
from alerting.resource import resource
from alerting.teams import Teams
from alertmanagers import SHIPPED
from generated import as_yaml
from helm.rendering import Object, fails, named, of_kind, render
from monitoring import tool

_NAME = "obs-prefect-observability-alertmanager"
_TEAMS = Teams.model_validate(
    {
        "default": "platform",
        "dead_mans_switch": "switch",
        "teams": {
            "platform": {"warning": {"slack": "platform_slack"}},
            "payments": {
                "critical": {"pagerduty": "payments_pagerduty"},
                "warning": {"slack": "#payments"},
            },
        },
    }
)
_TEMPLATES = {path.name: path.read_text() for path in SHIPPED.parent.glob("templates/*.tmpl")}


def _secret(**values: str) -> Object:
    told = {"as": "secret", **values}
    return named(render(values={"alertmanager": told}), "Secret", _NAME)


def _own(document: dict[str, Any]) -> str:
    return as_yaml(document, source=Path("teams.yml"))


def test_nobodys_configuration_is_touched_by_default() -> None:
    """By default there is no configuration: the cluster's Alertmanager sends alerts as it does."""
    assert [] == [each for each in render() if "alertmanager" in each["metadata"]["name"]]


def test_secret_holds_configuration_and_templates() -> None:
    """What the operator mounts is there: the shipped configuration, and every template."""
    data = _secret()["stringData"]
    shipped = yaml.safe_load((SHIPPED.parent / "alertmanager-operator.yaml").read_text())

    assert shipped == yaml.safe_load(data.pop("alertmanager.yaml"))
    assert {name: text.strip() for name, text in _TEMPLATES.items()} == {
        name: text.strip() for name, text in data.items()
    }


def test_secret_has_no_secret_but_paths() -> None:
    """Addresses and keys are files of the user's Secret, at the paths that were given."""
    config = _own(operator_configuration(_TEAMS))
    mounted = yaml.safe_load(_secret(config=config)["stringData"]["alertmanager.yaml"])
    elsewhere = _secret(config=config, existingSecret="mine")["stringData"]["alertmanager.yaml"]
    placed = _secret(config=config, secretsPath="/run/keys/", templatesPath="/etc/texts")
    text = placed["stringData"]["alertmanager.yaml"]

    assert mounted == operator_configuration(_TEAMS)
    assert "/etc/alertmanager/secrets/mine/payments_pagerduty" in elsewhere
    assert "prefect-alerts" not in elsewhere
    assert ("/run/keys/switch" in text, "/etc/texts/*.tmpl" in text) == (True, True)
    assert "/etc/alertmanager" not in text


@pytest.mark.real
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("team=payments severity=critical", "payments/critical"),
        ("team=payments severity=warning", "payments/warning"),
        ("severity=critical", "platform/critical"),
        ("alertname=Watchdog severity=none", "dead_mans_switch"),
        ("alertname=Other severity=none", "nobody"),
    ],
)
def test_alertmanager_routes_by_the_secret(tmp_path: Path, labels: str, receiver: str) -> None:
    """Alertmanager takes the Secret's files as they are mounted, and sends alerts to their team."""
    config = _own(operator_configuration(_TEAMS))
    data = _secret(config=config, templatesPath=str(tmp_path))["stringData"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    file = tmp_path / "alertmanager.yaml"

    checked = _amtool("check-config", str(file))
    routed = _amtool("config", "routes", "test", f"--config.file={file}", *labels.split())

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "1 templates" in checked.stdout
    assert receiver == routed.stdout.strip()


def _amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(tool("amtool")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _resource(**values: str) -> Object:
    objects = render(values={"alertmanager": {"as": "alertmanagerConfig", **values}})
    return named(objects, "AlertmanagerConfig", _NAME)


def test_resource_is_what_was_generated() -> None:
    """The object is the generated one, with the release's name and the user's Secret."""
    own = _resource(config=_own(resource(_TEAMS)), existingSecret="mine")["spec"]
    expected = json.dumps(resource(_TEAMS)["spec"]).replace("prefect-alerts", "mine")
    shipped = yaml.safe_load((SHIPPED.parent / "alertmanagerconfig.yaml").read_text())

    assert json.loads(expected) == own
    assert shipped["spec"] == _resource()["spec"]


def test_messages_are_there_to_be_mounted() -> None:
    """The templates that a resource names, but cannot bring, are a ConfigMap: each of them."""
    objects = render(values={"alertmanager": {"as": "alertmanagerConfig"}})
    data = named(objects, "ConfigMap", "obs-prefect-observability-messages")["data"]

    assert _TEMPLATES.keys() == data.keys()
    assert all(_TEMPLATES[name].strip() == text.strip() for name, text in data.items())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("secret", "alertmanager.config: has no `route:`"),
        ("alertmanagerConfig", "alertmanager.config: is no AlertmanagerConfig"),
    ],
)
def test_configuration_of_the_other_kind_is_told(kind: str, message: str) -> None:
    """Who gives the file that is meant for the other kind of object hears which one to give."""
    other = resource(_TEAMS) if kind == "secret" else operator_configuration(_TEAMS)

    assert message in fails(values={"alertmanager": {"as": kind, "config": _own(other)}})


def test_missing_operator_is_told() -> None:
    """A cluster without AlertmanagerConfigs is told which value to change."""
    cluster = ("apiregistration.k8s.io/v1", "monitoring.coreos.com/v1")
    told = fails(sets={"alertmanager.as": "alertmanagerConfig"}, api_versions=cluster)

    assert "set alertmanager.as: secret" in told


def test_no_credential_stands_in_an_object() -> None:
    """What a user's Secret holds is named, and nothing but our own Secret has the configuration."""
    objects = render(values={"alertmanager": {"as": "secret"}})

    assert [_NAME] == [each["metadata"]["name"] for each in of_kind(objects, "Secret")]
