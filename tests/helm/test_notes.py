"""What a person reads after an installation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.rendering import HELM, chart, of_kind, render

CLOUD = "https://api.prefect.cloud/api/accounts/a/workspaces/"
INLINE = {"targets": [{"url": CLOUD, "credentials": {"apiKey": {"value": "marker-key"}}}]}


# `helm template` leaves the notes out, and an installation, even a dry one, wants a cluster.
_SHOWN = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data: {notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}}
"""


@pytest.fixture(name="shown", scope="module")
def _shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart, with its notes as an object."""
    copied = tmp_path_factory.mktemp("notes") / "prefect-observability"
    shutil.copytree(chart(), copied)
    (copied / "templates" / "shown.yaml").write_text(_SHOWN)
    return copied


def notes(shown: Path, values: dict[str, Any]) -> str:
    """Return the notes of an installation with these values."""
    show = "--show-only=templates/shown.yaml"
    done = subprocess.run(
        [HELM, "template", "obs", shown, "--namespace=watch", "--values=-", show],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["data"]["notes"])


def _told(shown: Path, values: dict[str, Any]) -> list[str]:
    lines = notes(shown, values).splitlines()
    return [each.removeprefix("WARNING: ") for each in lines if each.startswith("WARNING: ")]


def test_commands_name_what_there_is(shown: Path) -> None:
    """Each command has the release's namespace, and leads to a Service that was made."""
    said = notes(shown, {"jaeger": {"enabled": True}})
    services = {
        each["metadata"]["name"]
        for each in of_kind(render(values={"jaeger": {"enabled": True}}), "Service")
    }
    forwarded = set(re.findall(r"port-forward svc/(\S+)", said))

    assert {"obs-prefect-observability-exporter", "obs-prefect-observability-jaeger-query"} == (
        forwarded
    )
    assert forwarded <= services
    assert "helm test obs -n watch --logs" in said
    assert not re.findall(r"kubectl (?!-n watch )", said)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://obs-prefect-observability-gateway." in said


def test_volumes_that_stay_are_named(shown: Path) -> None:
    """The command that deletes volumes names the labels that claims have."""
    (stateful_set,) = (
        each
        for each in of_kind(render(), "StatefulSet")
        if each["metadata"]["name"].endswith("-exporter")
    )
    (claim,) = stateful_set["spec"]["volumeClaimTemplates"]
    (selector,) = re.findall(r"delete pvc -l (\S+)", notes(shown, {}))

    assert dict(each.split("=") for each in selector.split(",")).items() <= (
        claim["metadata"]["labels"].items()
    )


def test_defaults_are_no_cause_for_warnings(shown: Path) -> None:
    """What most people install, and secrets that are there already, warn of nothing."""
    given = {"apiKey": {"existingSecret": {"name": "theirs", "key": "key"}}}

    assert [] == _told(shown, {})
    assert [] == _told(shown, {"targets": [{"url": CLOUD, "credentials": given}]})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"targets": []}, "targets is empty: no Prefect is looked at"),
        ({"exporter": {"persistence": {"enabled": False}}}, "exporter.persistence is off"),
        (INLINE, "apiKey of target default stands in the values"),
        ({"targets": [{"url": CLOUD, "tlsInsecureSkipVerify": True}]}, "takes any certificate"),
        ({"exporter": {"shards": 2}}, "2 shards for 1 target(s)"),
        ({"backup": {"enabled": True, "repository": "/var/lib/prefect-backup/x"}}, "is a path"),
    ],
    ids=["no-targets", "no-volume", "inline", "any-certificate", "idle-shards", "local-backup"],
)
def test_what_is_hardly_meant_is_told(shown: Path, values: dict[str, Any], told: str) -> None:
    """A value that works, and that one regrets, is told of with one line."""
    (line,) = _told(shown, values)

    assert told in line


def test_no_credential_is_shown(shown: Path) -> None:
    """Notes end in terminals and logs: no credential of the values is in them."""
    assert "marker-key" not in notes(shown, INLINE)


def test_shards_have_pages_of_their_own(shown: Path) -> None:
    """With several shards, it is told that the Service leads to any of them."""
    targets = [{"name": name, "url": CLOUD} for name in "ab"]
    said = notes(shown, {"exporter": {"shards": 2}, "targets": targets})

    assert "pod/obs-prefect-observability-exporter-0" in said


def test_what_goes_nowhere_is_told(shown: Path) -> None:
    """Without a backend it is told that traces and logs are not kept; with one it is not."""
    kept = {"gateway": {"logs": {"endpoint": "http://loki:3100/otlp"}}, "jaeger": {"enabled": True}}

    assert "traces are not, until" in notes(shown, {})
    assert "Logs are not kept" in notes(shown, {})
    assert not re.findall("traces are not|Logs are not", notes(shown, kept))


@pytest.mark.parametrize(
    ("routed", "told"),
    [
        ("none", "go where your Alertmanager sends them"),
        ("secret", "the Secret obs-prefect-observability-alertmanager"),
        ("alertmanagerConfig", "the ConfigMap obs-prefect-observability-messages"),
    ],
)
def test_who_tells_of_alerts(routed: str, told: str, shown: Path) -> None:
    """It is told what Alertmanager still needs, by the name of an object that there is."""
    values = {"alertmanager": {"as": routed}}
    name = re.findall(r"(?:Secret|ConfigMap) (\S+)", told)
    made = {each["metadata"]["name"] for each in render(values=values)}

    assert told in notes(shown, values)
    assert set(name) <= made


def test_whether_there_are_backups_is_told(shown: Path) -> None:
    """It is told that none is made, or how to make the first one, by a CronJob that there is."""
    values = {"backup": {"enabled": True, "repository": "s3:https://example.com/b"}}
    said = notes(shown, values)
    (name,) = set(re.findall(r"backup-job -n watch (\S+)", said))

    assert "No backup is made" in notes(shown, {})
    assert "No backup is made" not in said
    assert "what is in the Secret prefect-backup elsewhere too" in said
    assert name in {each["metadata"]["name"] for each in of_kind(render(values=values), "CronJob")}
