"""The exporter's objects: its shards, ledgers, settings and secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from certificates import certificate
from helm.cases import objects
from helm.kubelet import environment, lay_out
from helm.rendering import ROOT, Object, fails, named, of_kind, pods, render
from prefect_exporter.environment import load_settings
from prefect_exporter.settings import PREFIX, Settings
from prefect_exporter.shards import Shard

NAME = "obs-prefect-observability-exporter"
SCHEMA = ROOT / "deploy" / "helm" / "schema" / "exporter.yaml"
# What other values of the chart say, or what a pod has to have as it is.
NOT_A_SETTING = {
    "BASIC_AUTH",
    "BEARER_TOKEN",
    "METRICS_ADDRESS",
    "REPORT_PATH",
    "REPORT_SEND_TO_FILE",
    "SHARD",
    "SHARDS",
    "STATE_PATH",
    "TARGET",
    "TARGETS_FILE",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
}
GUARDED: dict[str, Any] = {
    "exporter": {
        "bearerToken": {"existingSecret": {"name": "theirs", "key": "token"}},
        "basicAuth": {"existingSecret": {"name": "theirs", "key": "basic"}},
        "reportRecipients": {"existingSecret": {"name": "theirs", "key": "to"}},
        "tls": {"existingSecret": "theirs"},
        "settings": {"REPORT_SCHEDULE": "0 6 * * 1", "MAX_TASKS": 100_000, "HOLD": "1m"},
    }
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if "PREFECT" in each]:
        monkeypatch.delenv(name)


def stateful_set(values: dict[str, Any] | None = None, **sets: object) -> Object:
    """Return the exporter's StatefulSet; *sets* are values of `exporter`, dots as underlines."""
    paths = {f"exporter.{path.replace('_', '.')}": value for path, value in sets.items()}
    return named(render(values=values, sets=paths), "StatefulSet", NAME)


def container(values: dict[str, Any] | None = None, **sets: object) -> Object:
    """Return its container."""
    (one,) = stateful_set(values, **sets)["spec"]["template"]["spec"]["containers"]
    found: Object = one
    return found


def variables(values: dict[str, Any] | None = None, **sets: object) -> dict[str, str]:
    """Return the variables that have a value of their own."""
    env = container(values, **sets)["env"]
    return {each["name"]: each["value"] for each in env if "value" in each}


def settings(
    values: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, ordinal: int = 0
) -> Settings:
    """Return what the exporter makes of its environment in a pod."""
    made = render(values=values)
    pod = named(made, "StatefulSet", NAME)["spec"]["template"]
    certified, key = (path.read_text() for path in certificate(folder))
    theirs = {"token": "t0ken", "basic": "me:pass", "to": "json://example.com"}
    secrets = {"theirs": {**theirs, "tls.crt": certified, "tls.key": key}}
    lay_out(made, pod, folder, secrets)
    (one,) = pod["spec"]["containers"]
    for name, value in environment(one, f"{NAME}-{ordinal}", folder).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_exporter_takes_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter's own reader takes what the pod has, secrets from files included."""
    found = settings(GUARDED, tmp_path, monkeypatch)

    assert "t0ken" == (found.bearer_token and found.bearer_token.get_secret_value())
    assert "me:pass" == (found.basic_auth and found.basic_auth.get_secret_value())
    assert "0 6 * * 1" == found.report_schedule
    assert found.report_folder.is_relative_to(found.state_path.parent)
    assert (100_000, 60.0) == (found.max_tasks, found.hold_seconds)
    assert "team" in found.tag_labels
    assert "0.0.0.0:9877" == str(found.listen_address)


@pytest.mark.parametrize("ordinal", [0, 1, 2])
def test_each_pod_is_the_shard_of_its_ordinal(
    ordinal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod's name says which shard it is, and all know how many there are."""
    found = settings({"exporter": {"shards": 3}}, tmp_path, monkeypatch, ordinal)

    assert Shard(ordinal, 3) == Shard(found.shard, found.shards)


@pytest.mark.parametrize("shards", [1, 4])
def test_as_many_pods_as_shards(shards: int) -> None:
    """The replicas are the shards, all start at once, and numbers begin at 0."""
    spec = stateful_set(shards=shards)["spec"]

    assert shards == spec["replicas"]
    assert str(shards) == variables(shards=shards)["PREFECT_EXPORTER_SHARDS"]
    assert "Parallel" == spec["podManagementPolicy"]
    assert "ordinals" not in spec


def test_every_setting_may_be_given() -> None:
    """The schema has every setting of docs/configuration.md that no other value stands for."""
    names = {str(each.validation_alias) for each in Settings.model_fields.values()}
    ours = {each.removeprefix(PREFIX) for each in names if each.startswith(PREFIX)}
    known = yaml.safe_load(SCHEMA.read_text())["properties"]["settings"]["properties"]

    assert ours - NOT_A_SETTING == set(known)
    assert ours >= NOT_A_SETTING


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("replicas", 2, "exporter.replicas is not to be had: two exporters on one target"),
        ("autoscaling", {"enabled": True}, "exporter.autoscaling is not to be had"),
        ("settings.POL_INTERVAL", "1m", "Additional property POL_INTERVAL is not allowed"),
        ("settings.BEARER_TOKEN", "marker", "Additional property BEARER_TOKEN is not allowed"),
        ("settings.LISTEN_ADDRESS", "[::]:80", "exporter.settings.LISTEN_ADDRESS"),
        ("shards", 0, "exporter.shards: Must be greater than or equal to 1"),
        ("ingress.enabled", True, "exporter.ingress.host is empty: name the host"),
        ("persistence.existingClaim", "mine", "each shard has a volume of its own"),
    ],
    ids=["replicas", "autoscaling", "typo", "secret", "port", "no-shards", "no-host", "claim"],
)
def test_what_cannot_be_used_is_told(path: str, value: object, told: str) -> None:
    """A value that would count twice, leak or do nothing is refused in words that say why."""
    said = fails(sets={f"exporter.{path}": value})

    assert told in said
    assert "marker" not in said


def test_nothing_scales_it() -> None:
    """No HorizontalPodAutoscaler is about the exporter."""
    scaled = [
        each["spec"]["scaleTargetRef"]["name"]
        for each in of_kind(objects("everything"), "HorizontalPodAutoscaler")
    ]

    assert scaled
    assert not [each for each in scaled if each.endswith("-exporter")]


def test_ledgers_are_kept() -> None:
    """Neither uninstalling nor fewer shards deletes a ledger, which is on a volume of its own."""
    spec = stateful_set()["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    folder = str(Path(variables()["PREFECT_EXPORTER_STATE_PATH"]).parent)
    mounts = {each["mountPath"]: each["name"] for each in container()["volumeMounts"]}

    assert {"whenDeleted": "Retain", "whenScaled": "Retain"} == spec[
        "persistentVolumeClaimRetentionPolicy"
    ]
    assert claim["metadata"]["name"] == mounts[folder]
    assert ["ReadWriteOnce"] == claim["spec"]["accessModes"]


def test_an_upgrade_changes_nothing_that_may_not_change() -> None:
    """What Kubernetes lets nobody change of a StatefulSet depends on no label and no setting."""
    changed = {
        "commonLabels": {"a": "b"},
        "exporter": {"shards": 2, "podLabels": {"c": "d"}, "image": {"tag": "9.9.9"}},
    }
    before, after = stateful_set()["spec"], stateful_set(changed)["spec"]
    fixed = ("serviceName", "selector", "podManagementPolicy", "volumeClaimTemplates")

    assert {key: before[key] for key in fixed} == {key: after[key] for key in fixed}
    assert "0.1.0" not in json.dumps(before["volumeClaimTemplates"])


def test_names_stay() -> None:
    """Objects have the names that volumes, scrapes and links know them by."""
    ours = {
        (each["kind"], each["metadata"]["name"])
        for each in render()
        if each["metadata"]["name"].startswith(NAME)
    }

    assert {
        ("NetworkPolicy", NAME),
        ("PodDisruptionBudget", NAME),
        ("Service", NAME),
        ("Service", f"{NAME}-headless"),
        ("ServiceAccount", NAME),
        ("StatefulSet", NAME),
    } <= ours


def test_pods_have_addresses_before_they_are_ready() -> None:
    """The headless Service is that of the StatefulSet, and leads to every pod."""
    spec = named(render(), "Service", f"{NAME}-headless")["spec"]

    assert f"{NAME}-headless" == stateful_set()["spec"]["serviceName"]
    assert ("None", True) == (spec["clusterIP"], spec["publishNotReadyAddresses"])


def test_only_one_service_has_the_labels_of_the_pods() -> None:
    """Who scrapes what a Service with the component's label leads to finds each pod once."""
    found = [
        each["metadata"]["name"]
        for each in of_kind(render(), "Service")
        if "exporter" == each["metadata"]["labels"]["app.kubernetes.io/component"]
    ]

    assert [NAME] == found


def test_an_ingress_leads_to_the_page() -> None:
    """The host that is named leads to the Service, by a port that it has."""
    ingress = {"enabled": True, "host": "status.example.com", "tlsSecret": "tls"}
    made = render(values={"exporter": {"ingress": ingress}})
    (rule,) = named(made, "Ingress", NAME)["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = named(made, "Service", backend["name"])

    assert "status.example.com" == rule["host"]
    assert backend["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}
    assert not of_kind(render(), "Ingress")


def test_a_drain_is_never_held_up() -> None:
    """One pod may be away at any time, also where it is the only one."""
    spec = named(render(), "PodDisruptionBudget", NAME)["spec"]

    assert {"maxUnavailable": 1} == {
        key: spec[key] for key in spec if key in {"maxUnavailable", "minAvailable"}
    }


def test_a_prefect_that_is_down_restarts_nothing() -> None:
    """No probe asks whether Prefect answers: the page that says so has to stay reachable."""
    paths = {
        container()[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert {"/healthz"} == paths


def test_probes_speak_https_where_the_exporter_does() -> None:
    """With a certificate probes ask by HTTPS, without one by HTTP."""
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    plain, guarded = container(), container(GUARDED)

    assert not [each for each in probes if "scheme" in plain[each]["httpGet"]]
    assert {"HTTPS"} == {guarded[each]["httpGet"]["scheme"] for each in probes}


def test_a_probe_may_be_left_out() -> None:
    """A probe that is null is not there."""
    assert "startupProbe" not in container({"exporter": {"startupProbe": None}})


def test_it_has_time_to_end() -> None:
    """The grace period is longer than the 5 seconds in which docs/operations.md lets it end."""
    spec = stateful_set()["spec"]["template"]["spec"]

    assert spec["terminationGracePeriodSeconds"] > 10


def test_secrets_are_files() -> None:
    """No variable of the pod comes from a Secret: they are in logs of crashes, and of children."""
    env = container(GUARDED)["env"]

    assert not [each for each in env if "secretKeyRef" in each.get("valueFrom", {})]
    assert f"{PREFIX}BEARER_TOKEN" not in {each["name"] for each in env}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"gateway": {"enabled": True}}, "true"),
        ({"gateway": {"enabled": False}}, None),
        (
            {"gateway": {"enabled": True}, "exporter": {"settings": {"TERMINAL_SPANS": False}}},
            "false",
        ),
    ],
    ids=["gateway", "none", "switched-off"],
)
def test_spans_of_killed_runs_go_to_the_gateway(values: dict[str, Any], told: str | None) -> None:
    """They are sent where the gateway is, unless a setting says otherwise."""
    found = variables(values)

    assert told == found.get(f"{PREFIX}TERMINAL_SPANS")
    assert (told is not None) == ("OTEL_EXPORTER_OTLP_ENDPOINT" in found)


def test_it_can_do_without_a_volume() -> None:
    """Without persistence the ledger is in the pod, with a limit, and no claim is made."""
    spec = stateful_set(persistence_enabled=False)["spec"]
    volumes = {each["name"]: each for each in spec["template"]["spec"]["volumes"]}

    assert "volumeClaimTemplates" not in spec
    assert {"sizeLimit": "1Gi"} == volumes["state"]["emptyDir"]


def test_openshift_gives_the_ids() -> None:
    """A null leaves an id out of the pod, and the rest of its security context stays."""
    nothing = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    spec = stateful_set({"exporter": {"podSecurityContext": nothing}})["spec"]["template"]["spec"]

    assert not set(nothing) & set(spec["securityContext"])
    assert spec["securityContext"]["runAsNonRoot"]


def test_whoever_needs_none_gets_none() -> None:
    """Switched off, nothing of the exporter is left."""
    made = render(values={"exporter": {"enabled": False}})

    assert NAME not in {each["metadata"]["name"] for each in made}
    assert not [name for name, _ in pods(made) if "exporter" in name]
