"""Targets as values: what the exporter reads of them, and where their credentials are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from certificates import certificate
from helm.kubelet import environment, lay_out
from helm.rendering import ROOT, Object, fails, named, of_kind, render
from prefect_exporter import targets_file
from prefect_exporter.targets import Targets, reload_targets

CHART = "obs-prefect-observability"
CLOUD = "https://api.prefect.cloud/api/accounts/a/workspaces/"
SCHEMA = ROOT / "deploy" / "helm" / "schema" / "targets.yaml"

INLINE: dict[str, Any] = {
    "targets": [
        {
            "name": "production",
            "url": "https://prefect.example.com/api",
            "credentials": {
                "authString": {"value": "admin:marker-auth"},
                "ca": {"value": "-----BEGIN CERTIFICATE-----\nmarker-ca\n"},
            },
        },
        {
            "name": "Analytics_EU",
            "url": CLOUD + "one",
            "credentials": {
                "apiKey": {"value": "marker-key"},
                "headers": {"value": {"X-Tenant": "marker-header"}},
            },
        },
    ]
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if "PREFECT" in each]:
        monkeypatch.delenv(name)


def read(
    objects: list[Object], folder: Path, monkeypatch: pytest.MonkeyPatch, **theirs: str
) -> Targets:
    """Return the targets that the exporter reads in its pod; *theirs* is a Secret of the user's."""
    pod = named(objects, "StatefulSet", f"{CHART}-exporter")["spec"]["template"]
    lay_out(objects, pod, folder, {"theirs": theirs})
    for name, value in environment(
        pod["spec"]["containers"][0], f"{CHART}-exporter-0", folder
    ).items():
        monkeypatch.setenv(name, value)
    return reload_targets()


def _told(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()


def test_exporter_reads_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value of a target is what the exporter has of it, in its own units."""
    ca = certificate(tmp_path)[0].read_text()
    target = {
        "name": "research",
        "url": CLOUD + "two",
        "uiUrl": "https://app.prefect.cloud",
        "credentials": {
            "apiKey": {"existingSecret": {"name": "theirs", "key": "key"}},
            "authString": {"existingSecret": {"name": "theirs", "key": "auth"}},
            "headers": {"value": {"X-Tenant": "data"}},
            "ca": {"existingConfigMap": {"name": "theirs", "key": "ca"}},
        },
        "tlsInsecureSkipVerify": False,
        "requestsPerMinute": 100_000,
        "requestTimeout": "20s",
        "pageSize": 100,
        "pollInterval": "1m",
        "slowInterval": "10m",
        "flows": ["*", "!scratch-*"],
        "deployments": ["etl-*"],
        "workPools": ["k8s-*"],
        "collectors": {"automations": False, "events": "off", "workers": "1m"},
    }
    secrets = {"key": "their-key", "auth": "user:their-auth", "ca": ca}
    objects = render(values={"targets": [target]})
    (one,) = read(objects, tmp_path, monkeypatch, **secrets).targets
    settings = one.settings

    assert "research" == one.name
    assert (CLOUD + "two", "https://app.prefect.cloud") == (settings.api_url, settings.ui_url)
    assert "their-key" == _told(settings.api_key)
    assert "user:their-auth" == _told(settings.api_auth_string)
    assert settings.api_headers is not None
    assert "data" == _told(settings.api_headers["X-Tenant"])
    assert settings.api_ca_file is not None
    assert ca == settings.api_ca_file.read_text()
    assert (100_000, 20.0, 100) == (
        settings.requests_per_minute,
        settings.request_timeout_seconds,
        settings.page_size,
    )
    assert (60.0, 600.0) == (settings.poll_interval_seconds, settings.slow_interval_seconds)
    assert {"automations": None, "events": None, "workers": 60.0} == settings.collectors
    assert "etl" in settings.flows
    assert "scratch-1" not in settings.flows
    assert ("*,!scratch-*", "etl-*", "k8s-*") == (
        str(settings.flows),
        str(settings.deployments),
        str(settings.work_pools),
    )


def test_every_key_of_the_file_is_a_value() -> None:
    """A target has a value for each key of docs/targets.md, but for those that name variables."""
    known = yaml.safe_load(SCHEMA.read_text())["items"]["properties"]
    credentials = known.pop("credentials")["properties"]
    keys = {re.sub("[A-Z]", lambda at: "_" + at[0].lower(), each) for each in known}
    files = {re.sub("[A-Z]", lambda at: "_" + at[0].lower(), each) for each in credentials}

    assert {each for each in targets_file.KEYS if not each.endswith("_env")} == keys | {
        f"{each}_file" for each in files
    }


def test_budgets_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of the values is the one that the exporter's targets share."""
    targets = [{"name": name, "url": CLOUD + name, "budget": "cloud"} for name in ("a", "b")]
    objects = render(values={"budgets": {"cloud": 400}, "targets": targets})
    found = read(objects, tmp_path, monkeypatch)

    assert {"cloud": 400} == found.budgets
    assert ["cloud", "cloud"] == [each.budget for each in found.targets]


def test_default_is_what_the_official_chart_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word about targets, the server of Prefect's own chart in the namespace is read."""
    (one,) = read(render(), tmp_path, monkeypatch).targets

    assert ("default", "http://prefect-server:4200/api") == (one.name, one.settings.api_url)


def test_a_target_without_a_name_is_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without a name is `default`, and its pages are where links lead."""
    target = {"url": CLOUD, "uiUrl": ""}
    values = {"targets": [target], "links": {"prefect": "https://prefect.example.com"}}
    (one,) = read(render(values=values), tmp_path, monkeypatch).targets

    assert ("default", "https://prefect.example.com") == (one.name, one.settings.ui_url)


def test_credentials_of_the_values_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that stand in the values reach the exporter as they are."""
    ca = certificate(tmp_path)[0].read_text()
    values = json.loads(json.dumps(INLINE))
    values["targets"][0]["credentials"]["ca"] = {"value": ca}
    production, analytics = read(render(values=values), tmp_path, monkeypatch).targets

    assert "admin:marker-auth" == _told(production.settings.api_auth_string)
    assert "marker-key" == _told(analytics.settings.api_key)


def test_credentials_are_in_their_secrets_alone() -> None:
    """A credential is in its target's Secret, and in nothing else that the chart makes."""
    secrets = {
        each["metadata"]["name"]: each["stringData"]
        for each in of_kind(render(values=INLINE), "Secret")
        if "-target-" in each["metadata"]["name"]
    }
    others = [
        json.dumps(each)
        for each in render(values=INLINE)
        if each["metadata"]["name"] not in secrets
    ]

    assert 2 == len(secrets)
    assert {"auth-string", "ca.crt"} == set(secrets[f"{CHART}-target-production"])
    assert "marker-auth" in json.dumps(secrets[f"{CHART}-target-production"])
    assert not [each for each in others if "marker-" in each]


def test_names_that_look_alike_have_secrets_apart() -> None:
    """Targets whose names Kubernetes cannot tell apart have a Secret each, with a valid name."""
    names = ["a-b", "a_b", "A-b", "A_B", "a.b", "a-b_", "a-b-"]
    targets = [
        {"name": each, "url": CLOUD, "credentials": {"apiKey": {"value": each}}} for each in names
    ]
    found = {
        each["metadata"]["name"]: each["stringData"]["api-key"]
        for each in of_kind(render(values={"targets": targets}), "Secret")
        if "-target-" in each["metadata"]["name"]
    }

    assert sorted(names) == sorted(found.values())
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", each) for each in found)


def test_a_secret_that_is_there_is_used() -> None:
    """With existingSecret the chart makes no Secret of its own for the target."""
    given = {"apiKey": {"existingSecret": {"name": "theirs", "key": "key"}}}
    objects = render(values={"targets": [{"url": CLOUD, "credentials": given}]})

    assert not [
        each for each in of_kind(objects, "Secret") if "-target-" in each["metadata"]["name"]
    ]


@pytest.mark.parametrize("kind", ["configMap", "secret"])
def test_a_file_of_ones_own(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With existingTargets the chart makes neither a file nor Secrets, whatever targets says."""
    values = {**INLINE, "existingTargets": {kind: "theirs", "key": "mine.yaml"}}
    objects = render(values=values)
    text = "targets:\n  - {name: mine, url: http://mine:4200/api}\n"
    (one,) = read(objects, tmp_path, monkeypatch, **{"mine.yaml": text}).targets

    assert "mine" == one.name
    assert "marker-" not in json.dumps(objects)


def test_no_targets_leave_it_to_variables() -> None:
    """Without targets no file is named, so that the variables of one server may hold."""
    objects = render(values={"targets": []})
    pod = named(objects, "StatefulSet", f"{CHART}-exporter")["spec"]["template"]["spec"]
    names = {each["name"] for each in pod["containers"][0]["env"]}

    assert "PREFECT_EXPORTER_TARGETS_FILE" not in names
    assert "targets" not in {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"targets": [{"name": "a", "url": CLOUD}, {"name": "a", "url": CLOUD}]},
            'targets: two have the name "a"',
        ),
        (
            {"targets": [{"url": CLOUD}, {"name": "default", "url": CLOUD}]},
            'two have the name "default" (one without a name is "default")',
        ),
        (
            {"targets": [{"url": "https://user:marker@prefect.example.com/api"}]},
            'the url of "default" holds credentials, and would be in a ConfigMap',
        ),
        (
            {"targets": [{"url": CLOUD, "budget": "cloud"}]},
            'shares the budget "cloud", which budgets does not have: add it there',
        ),
        (
            {
                "budgets": {"a": 1},
                "targets": [{"url": CLOUD, "budget": "a", "requestsPerMinute": 1}],
            },
            "has both budget and requestsPerMinute: leave one of them out",
        ),
        ({"targets": [{"name": "a"}]}, "targets.0: url is required"),
        ({"targets": [{"url": CLOUD, "name": "a b"}]}, "targets.0.name"),
        ({"targets": [{"url": CLOUD, "api_key": "x"}]}, "api_key is not allowed"),
        (
            {"targets": [{"url": CLOUD, "credentials": {"apiKey": "marker"}}]},
            "targets.0.credentials.apiKey: Invalid type. Expected: object",
        ),
        ({"targets": [{"url": CLOUD, "pollInterval": "often"}]}, "targets.0.pollInterval"),
        (
            {"targets": [{"url": CLOUD, "collectors": {"events": True}}]},
            'the collector "events" of "default" is true: give an interval, or off',
        ),
        (
            {"existingTargets": {"configMap": "a", "secret": "b"}},
            "existingTargets has both configMap and secret: leave one of them out",
        ),
    ],
    ids=[
        "same-name",
        "default-twice",
        "credentials-in-url",
        "no-such-budget",
        "two-budgets",
        "no-url",
        "bad-name",
        "file-key",
        "bare-key",
        "bad-duration",
        "true-collector",
        "two-files",
    ],
)
def test_what_cannot_be_used_is_told(values: dict[str, Any], told: str) -> None:
    """Bad targets are refused with a line that names them, and shows no credential."""
    said = fails(values=values)

    assert told in said
    assert "marker" not in said
