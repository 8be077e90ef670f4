"""An alert on its way from Prometheus through Alertmanager to a webhook."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

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

_OVERRIDE = """\
services:
  prometheus:
    volumes: ["{folder}:/etc/prometheus:ro"]
"""


@pytest.fixture(name="alerting")
def _alerting(whole: Stack, tmp_path: Path) -> Iterator[tuple[Stack, Sink]]:
    """The stack with one more rule, which fires, and a webhook that it tells."""
    rules = shutil.copytree(ROOT / "deploy" / "prometheus", tmp_path / "prometheus")
    (rules / "rules" / "stack_test.yml").write_text(_RULE)
    override = tmp_path / "override.yml"
    override.write_text(_OVERRIDE.format(folder=rules))
    with sink(gateway(whole)) as webhook:
        tell(whole, webhook.url)
        alarmed = replace(whole, overrides=[override])
        alarmed.up("prometheus")
        yield alarmed, webhook
    whole.up("prometheus")


def tell(stack: Stack, url: str) -> None:
    """Write the webhook's address into its secret, which Alertmanager reads for each message."""
    (stack.folder / "secrets" / "alert_webhook_url").write_text(url)


def test_alert_reaches_the_webhook(alerting: tuple[Stack, Sink]) -> None:
    """What fires in Prometheus is told, with its labels and its summary."""
    _, webhook = alerting

    messages = eventually(lambda: list(webhook.received), what="a webhook call", within=150)

    (alert,) = messages[0]["alerts"]
    assert ("firing", "StackTest") == (alert["status"], alert["labels"]["alertname"])
    assert alert["annotations"]["summary"].startswith("the server is up: ")
