"""Secrets that a flow puts into whatever it says come out nowhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import logged_scene
from demo.processes import wait_until
from logged_scene import api_messages, parsed
from traced_scene import Scene, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

PLACES = ("stdout", "stderr", "file", "spans", "logs", "api")


@pytest.fixture(name="planted", scope="module")
def _planted(said: tuple[list[str], Mapping[str, str]]) -> list[str]:
    return said[0]


@pytest.fixture(name="said", scope="module")
def _said(scene: Scene) -> tuple[list[str], Mapping[str, str]]:
    """Return what was planted, and all that came out of it, by place."""
    folder = scene.sandbox.subfolder("secretive")
    env = scene.environment("secretive", "plugin", "http") | {
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "shop",
        "PREFECT_INSTRUMENTATION_LOG_FILE": str(folder / "shop.log"),
        "PREFECT_INSTRUMENTATION_REDACT_KEYS": "pin_of_mine",
        "PREFECT_INSTRUMENTATION_REDACT_PATTERNS": r"cust-(\w+)-end",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    argv = [*command("plugin", "secretive_flows"), str(folder / "planted")]
    process = logged_scene.start(scene, "secretive", argv, env).wait(200)
    (run,) = {line["flow_run_id"] for line in process.lines() if "flow_run_id" in line}
    planted = (folder / "planted").read_text().splitlines()
    last = f"planted {len(planted)}"
    with scene.server.client() as api:
        wait_until(lambda: last in api_messages(api, [run]), within=30, what=last)
        messages = api_messages(api, [run])
    logs = [log for log in scene.receiver.logs() if log.resource["service.name"] == "secretive"]
    return planted, {
        "stdout": process.stdout.read_text(),
        "stderr": process.process.log.read_text(),
        "file": (folder / "shop.log").read_text(),
        "spans": repr(scene.spans_by("secretive")),
        "logs": repr(logs),
        "api": "\n".join(messages),
    }


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_comes_out(
    place: str, planted: list[str], said: tuple[list[str], Mapping[str, str]]
) -> None:
    """Nowhere is a planted secret, nor the part of one that every output would write as it is."""
    text = said[1][place]
    leaked = [secret for secret in planted if secret in text]
    shown = [text[max(0, text.index(each) - 150) :][:250] for each in leaked[:5]]

    assert ([], 0) == (shown, len(leaked))


@pytest.mark.parametrize("place", ["stdout", "file", "spans", "logs", "api"])
def test_what_is_no_secret_does(
    place: str, planted: list[str], said: tuple[list[str], Mapping[str, str]]
) -> None:
    """The search would have found them: what was planted beside them is there."""
    beside = "refused" if place == "spans" else f"planted {len(planted)}"

    assert len(set(planted)) > 200
    assert beside in said[1][place]
    assert "[redacted]" in said[1][place]


@pytest.mark.parametrize("place", ["stdout", "file"])
def test_lines_are_whole(place: str, said: tuple[list[str], Mapping[str, str]]) -> None:
    """What was hidden leaves objects behind."""
    assert len([parsed(line) for line in said[1][place].splitlines()]) > 300
