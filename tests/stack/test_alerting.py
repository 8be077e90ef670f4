"""An alert on its way from Prometheus through Alertmanager to a webhook."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from alerting.document import configuration
from alerting.teams import load
from stack.asking import eventually
from stack.compose import ROOT, Stack
from stack.host import gateway
from stack.sink import Sink, sink

pytestmark = pytest.mark.stack

_RULE = """\
groups:
  - name: test
    rules:
      - alert: StackTest
        expr: prefect_server_up == 1
        labels: {severity: warning}
        annotations: {summary: "the server is up: {{ $labels.target }}"}
"""

_TEAMS = """\
default: platform
teams:
  platform:
    warning: {webhook: sink}
"""

_OVERRIDE = """\
services:
  prometheus:
    volumes: ["{folder}/prometheus:/etc/prometheus:ro"]
  alertmanager:
    volumes: ["{folder}/alertmanager:/etc/alertmanager:ro"]
"""


@pytest.fixture(name="alerting")
def _alerting(whole: Stack, tmp_path: Path) -> Iterator[tuple[Stack, Sink]]:
    """The stack with one more rule, which fires, and a team whose webhook is told."""
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(ROOT / "deploy" / name, tmp_path / name)
    (tmp_path / "prometheus" / "rules" / "telemetry" / "StackTest.yml").write_text(_RULE)
    _choose(tmp_path / "alertmanager")
    override = tmp_path / "override.yml"
    override.write_text(_OVERRIDE.format(folder=tmp_path))
    with sink(gateway(whole)) as webhook:
        _tell(whole, webhook.url)
        alarmed = replace(whole, overrides=[override])
        alarmed.up("prometheus", "alertmanager")
        yield alarmed, webhook
    whole.up("prometheus", "alertmanager")


def _choose(folder: Path) -> None:
    """Write what `make generate` writes for these teams."""
    (folder / "teams.yml").write_text(_TEAMS)
    document = configuration(load(folder / "teams.yml"))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(document))


def _tell(stack: Stack, url: str) -> None:
    """Write the webhook's address where Alertmanager reads it for each message."""
    path = stack.folder / "secrets" / "alerts" / "sink"
    path.write_text(url)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def test_alert_reaches_the_webhook(alerting: tuple[Stack, Sink]) -> None:
    """What fires in Prometheus is told, with its labels and its summary."""
    _, webhook = alerting

    messages = eventually(
        lambda: [call for call in webhook.received if "StackTest" in str(call)],
        what="a webhook call",
        within=240,
    )

    (alert,) = messages[0]["alerts"]
    assert ("firing", "StackTest") == (alert["status"], alert["labels"]["alertname"])
    assert alert["annotations"]["summary"].startswith("the server is up: ")
