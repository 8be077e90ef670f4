"""What people read: messages as Slack, mail, PagerDuty, a webhook and Teams get them.

``UPDATE_GOLDEN=1`` writes the files anew in place of comparing; read the difference before you
keep it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from alert_examples import HOSTILE, STARTED, alert, beginning, ended, failing_deployment
from alert_sinks import MailSink, WebSink, mail_sink, web_sink
from alerting.teams import Teams
from alertmanagers import Alertmanager, alertmanager, quick, write
from demo.processes import free_port, wait_until

pytestmark = pytest.mark.real

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("slack", "email", "pagerduty", "webhook", "teams")

Alerts = list[dict[str, Any]]


def _one() -> list[Alerts]:
    return [[failing_deployment()]]


def _many() -> list[Alerts]:
    stale = [
        alert(
            "PrefectDeploymentStale",
            summary=f"etl/hourly-{number:02d} has had no success for 2h 5m",
            team="payments",
            flow="etl",
            deployment=f"hourly-{number:02d}",
        )
        for number in range(12)
    ]
    return [beginning(stale)]


def _resolved() -> list[Alerts]:
    pool = alert(
        "PrefectWorkPoolNoWorkers",
        summary="work pool k8s has no worker",
        description="No worker of work pool k8s has been heard for 5m, and 14 runs are due.",
        severity="critical",
        component="work-pools",
        team="payments",
        work_pool="k8s",
    )
    return [[pool], ended([pool])]


def _mixed() -> list[Alerts]:
    limits = [
        alert(
            "PrefectConcurrencyLimitSaturated",
            summary=f"tag limit {name} has been full for 30m",
            team="payments",
            kind="tag",
            limit=name,
        )
        for name in ("db", "gpu")
    ]
    begun = beginning(limits)
    return [begun, ended(begun[:1])]


def _hostile() -> list[Alerts]:
    flow = alert(
        "PrefectFlowRunFailed",
        summary=f"{HOSTILE} failed",
        description=f"A run of {HOSTILE} failed." * 9,
        team="payments",
        flow=HOSTILE[:128],
        deployment="&<>\"'|",
    )
    return [[flow]]


def _bare() -> list[Alerts]:
    labels = {"alertname": "NotOurs", "team": "payments"}
    return [[{"labels": labels, "annotations": {}, "startsAt": STARTED}]]


CASES: dict[str, Callable[[], list[Alerts]]] = {
    "one": _one,
    "many": _many,
    "resolved": _resolved,
    "mixed": _mixed,
    "hostile": _hostile,
    "bare": _bare,
}


# A time of the test's own, in any of the forms that messages have.
_NOW = re.compile(r"(?!2026-11-20)\d{4}-\d\d-\d\d( \d\d:\d\d UTC|T[\d:.]+Z)")


@dataclass(frozen=True, slots=True)
class Scene:
    """An Alertmanager that tells one team by all channels, and what was heard."""

    manager: Alertmanager
    web: WebSink
    mail: MailSink

    def last(self, kind: str, name: str) -> Any:  # noqa: ANN401  JSON, or a mail
        """Return the last message of this kind about this alert; None if there is none yet."""
        heard = [each for each in self._heard(kind) if name.lower() in _readable(each).lower()]
        return heard[-1] if heard else None

    def _heard(self, kind: str) -> list[Any]:
        return list(self.mail.received) if kind == "email" else self.web.bodies(f"/{kind}")


@pytest.fixture(name="scene", scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("messages")
    with web_sink() as web, mail_sink(free_port()) as mail:
        for kind in ("slack", "webhook", "teams"):
            (folder / kind).write_text(f"{web.url}/{kind}\n")
        for secret in ("pagerduty", "slack_token", "email_password"):
            (folder / secret).write_text(f"{secret}-s3cr3t\n")
        config = write(folder / "alertmanager.yml", _teams(mail), quick(folder, web.url))
        with alertmanager(config, folder) as manager:
            yield Scene(manager, web, mail)


def _teams(mail: MailSink) -> Teams:
    by_all = {kind: kind for kind in ("slack", "pagerduty", "webhook", "teams")}
    warning = {**by_all, "email": ["payments@example.com", "boss@example.com"]}
    return Teams.model_validate(
        {
            "default": "platform",
            "email": {
                "sender": "prefect@example.com",
                "server": mail.address,
                "user": "prefect",
                "tls": False,
            },
            "teams": {
                "platform": {"warning": {"slack": "#platform"}},
                "payments": {"warning": warning},
            },
        }
    )


@pytest.mark.parametrize("case", CASES)
def test_messages_are_as_kept(scene: Scene, case: str) -> None:
    """Each kind of message reads as its golden file has it, to the letter."""
    told = _tell(scene, case)

    for kind, message in told.items():
        file = GOLDEN / f"{case}.{kind}.txt"
        shown = _NOW.sub("(a time)", _shown(message))
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(shown)
        assert file.read_text() == shown


def _tell(scene: Scene, case: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for alerts in CASES[case]():
        before, name = told, alerts[0]["labels"]["alertname"]
        scene.manager.post(alerts)

        def all_told(before: dict[str, Any] = before, name: str = name) -> bool:
            now = {kind: scene.last(kind, name) for kind in KINDS}
            return all(now[kind] not in (None, before.get(kind)) for kind in KINDS)

        wait_until(all_told, within=60, what=f"a message of each kind about {name}")
        told = {kind: scene.last(kind, name) for kind in KINDS}
    return told


def test_no_golden_file_is_left_over() -> None:
    """Each golden file has its case."""
    expected = {f"{case}.{kind}.txt" for case in CASES for kind in KINDS}

    assert {path.name for path in GOLDEN.iterdir()} == expected


def test_bot_posts_into_the_channel_with_its_token(scene: Scene) -> None:
    """A channel's name leads to Slack's API, and the token goes into the header alone."""
    scene.manager.post([alert("PrefectServerReplicaDown", team="unknown", component="server")])
    wait_until(lambda: bool(scene.web.bodies("/bot")), within=60, what="a message of the bot")

    (received,) = [each for each in scene.web.received if each.path == "/bot"]
    assert (received.authorization, received.body["channel"]) == (
        "Bearer slack_token-s3cr3t",
        "#platform",
    )


def test_mail_goes_to_everybody_by_a_login(scene: Scene) -> None:
    """All addresses get the mail, and the password comes from its file."""
    _tell(scene, "one")

    assert scene.mail.recipients[-1] == ["payments@example.com", "boss@example.com"]
    assert ("prefect", "email_password-s3cr3t") in scene.mail.logins


@pytest.mark.parametrize(
    ("kind", "markup"),
    [
        ("slack", r"<(?!http://grafana\.example/|http://runbooks\.example/)"),
        ("email", r"<script|<!channel|javascript:"),
        ("teams", r"(?<!\\)[*`<]|(?<!\\)\[(?!warning\]|Dashboard\]|Runbook\])"),
    ],
)
def test_hostile_names_stay_text(scene: Scene, kind: str, markup: str) -> None:
    """No markup of Slack's, HTML's or Markdown's comes from a name."""
    message = _tell(scene, "hostile")[kind]
    text: Callable[[], str] = {
        "slack": lambda: message["attachments"][0]["title"] + message["attachments"][0]["text"],
        "email": lambda: _part(message, "html"),
        "teams": lambda: "".join(
            each["text"] for each in message["attachments"][0]["content"]["body"]
        ),
    }[kind]

    assert "alert(1)" in text().replace("\\", "")
    assert re.findall(markup, text()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_message_is_bounded(scene: Scene, kind: str) -> None:
    """However long names are, a message stays below what Teams takes, the least of all."""
    message = _tell(scene, "hostile")[kind]

    assert len(message.as_bytes() if kind == "email" else json.dumps(message)) < 28_000


def _shown(message: Any) -> str:  # noqa: ANN401  JSON, or a mail
    if isinstance(message, EmailMessage):
        head = "".join(f"{name}: {message[name]}\n" for name in ("From", "To", "Subject"))
        return f"{head}\n{_part(message, 'plain')}\n----\n{_part(message, 'html')}"
    return json.dumps(_steady(message), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _steady(message: Any) -> Any:  # noqa: ANN401  JSON
    """Leave out what depends on the version of Alertmanager, and times that it chose itself."""
    if isinstance(message, dict):
        left_out = {"notification_reason", "routeLabels", "groupKey", "dedup_key"}
        return {key: _steady(each) for key, each in message.items() if key not in left_out}
    return [_steady(each) for each in message] if isinstance(message, list) else message


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def _readable(message: Any) -> str:  # noqa: ANN401  JSON, or a mail
    if isinstance(message, EmailMessage):
        return str(message["Subject"]) + _part(message, "plain")
    return json.dumps(message)
