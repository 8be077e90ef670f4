"""Messages on their way: how many there are, when they come, and who does not hold up whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from alert_examples import alert, beginning, ended
from alert_sinks import WebSink, web_sink
from alerting.teams import DAYS, Teams
from alertmanagers import SHIPPED, Alertmanager, alertmanager, quick, write
from demo.processes import wait_until

pytestmark = pytest.mark.real

_AT_ANY_HOUR = {"zone": "UTC", "days": "monday-sunday", "hours": "00:00-24:00"}


@dataclass(frozen=True, slots=True)
class Scene:
    """An Alertmanager, and the services that hear it."""

    manager: Alertmanager
    web: WebSink

    def count(self, name: str) -> int:
        """Return how many messages a service has got."""
        return len(self.web.bodies(f"/{name}"))

    def wait(self, name: str, messages: int = 1) -> list[Any]:
        """Return what a service got, once that many messages are there."""
        wait_until(
            lambda: self.count(name) >= messages, within=60, what=f"{messages} messages of {name}"
        )
        return self.web.bodies(f"/{name}")


@contextmanager
def _scene(folder: Path, teams: Mapping[str, Any], **top: Any) -> Iterator[Scene]:  # noqa: ANN401  YAML
    """Run Alertmanager with these teams; a service's path is called as its secret."""
    parsed = Teams.model_validate({"default": "platform", "teams": teams, **top})
    with web_sink() as web:
        for name in ("slack", "webhook", "msteams", "switch", "payments", "platform"):
            (folder / name).write_text(f"{web.url}/{name}")
        (folder / "pagerduty").write_text("hush-pagerduty")
        config = write(folder / "alertmanager.yml", parsed, quick(folder, web.url))
        with alertmanager(config, folder) as manager:
            yield Scene(manager, web)


def test_500_alerts_at_once_are_a_handful_of_messages(tmp_path: Path) -> None:
    """Two kinds of trouble of two teams are four messages, and each says how many it is about."""
    teams = {
        "platform": {"warning": {"slack": "platform"}},
        "payments": {"warning": {"slack": "payments"}},
    }
    storm = [
        alert(
            ("PrefectDeploymentStale", "PrefectFlowRunFailed")[number % 2],
            team=("payments", "of-nobody")[number // 2 % 2],
            summary=f"\U0001f600 {number} " * 50,
            flow="\U0001f600" * 20 + str(number),
            deployment="nightly",
        )
        for number in range(500)
    ]
    with _scene(tmp_path, teams) as scene:
        scene.manager.post(beginning(storm))
        scene.wait("payments", 2)
        scene.wait("platform", 2)
        # Each group has been told, and none twice.
        wait_until(lambda: _sent(scene) == 4, within=60, what="the fourth message's receipt")
        groups = scene.manager.metric("alertmanager_dispatcher_aggregation_groups")
        told = [*scene.web.bodies("/payments"), *scene.web.bodies("/platform")]

    titles = sorted(each["attachments"][0]["title"] for each in told)
    assert groups == len(told) == 4
    assert titles == [
        "[warning] PrefectDeploymentStale, 125 firing, default",
        "[warning] PrefectDeploymentStale, 125 firing, default",
        "[warning] PrefectFlowRunFailed, 125 firing, default",
        "[warning] PrefectFlowRunFailed, 125 firing, default",
    ]
    texts = [each["attachments"][0]["text"] for each in told]
    assert [(text.count("\n- "), "and 115 more" in text) for text in texts] == [(10, True)] * 4
    assert max(len(text.encode()) for text in texts) < 28_000


def test_lost_server_is_one_message_and_one_end(tmp_path: Path) -> None:
    """Of a server that is down and 200 alerts that follow one is told, and later its end."""
    teams = {"platform": {"warning": {"slack": "platform"}}}
    down = alert("PrefectServerDown", severity="critical", component="server", team="platform")
    following = [
        alert("PrefectDeploymentStale", flow="etl", deployment=f"hourly-{number}")
        for number in range(200)
    ]
    with _scene(tmp_path, teams) as scene:
        begun = beginning([down, *following])
        scene.manager.post(begun)
        scene.wait("platform")
        states = [each["status"]["state"] for each in scene.manager.alerts()]
        told_while_down = scene.count("platform")
        # The cause ends last: in the midst of a post Alertmanager may tell of what fires still.
        scene.manager.post(ended(begun[1:]))
        scene.manager.post(ended(begun[:1]))
        messages = scene.wait("platform", 2)

    assert (states.count("active"), states.count("suppressed"), told_while_down) == (1, 200, 1)
    assert [each["attachments"][0]["title"] for each in messages] == [
        "[critical] PrefectServerDown of default",
        "[resolved] PrefectServerDown of default",
    ]


def test_watchdog_is_heard_by_the_switch_again_and_again(tmp_path: Path) -> None:
    """The dead man's switch hears the Watchdog at short intervals, and nobody else does."""
    teams = {"platform": {"warning": {"slack": "platform"}}}
    with _scene(tmp_path, teams, dead_mans_switch="switch") as scene:
        scene.manager.post([alert("Watchdog", severity="none", component="telemetry", target="")])
        heard = scene.wait("switch", 3)

        assert {each["alerts"][0]["labels"]["alertname"] for each in heard} == {"Watchdog"}
        assert scene.count("platform") == 0


def test_warnings_wait_for_office_hours_and_pages_do_not(tmp_path: Path) -> None:
    """Outside a team's hours it hears of what is critical alone; within them of both."""
    open_now = {"warning": {"webhook": "platform"}, "office_hours": _AT_ANY_HOUR}
    closed = {"warning": {"webhook": "payments"}, "office_hours": {**_AT_ANY_HOUR, **_never()}}
    both = [
        alert("PrefectDeploymentStale", team=team, flow=team, severity=severity, tier=severity)
        for team in ("platform", "payments")
        for severity in ("warning", "critical")
    ]
    # Of different deployments, so that none silences the other.
    both = [
        {**each, "labels": {**each["labels"], "deployment": str(i)}} for i, each in enumerate(both)
    ]
    with _scene(tmp_path, {"platform": open_now, "payments": closed}) as scene:
        scene.manager.post(both)
        scene.wait("platform", 2)
        (page,) = scene.wait("payments")
        wait_until(lambda: "payments" in _muted_by(scene), within=60, what="a muted group")

        assert page["commonLabels"]["severity"] == "critical"
        assert scene.count("payments") == 1


def _never() -> dict[str, str]:
    """Return hours that are not now: on the day that is three days away."""
    return {"days": DAYS[(datetime.now(UTC).weekday() + 3) % 7]}


def _sent(scene: Scene) -> float:
    return scene.manager.metric("alertmanager_notifications_total")


def _muted_by(scene: Scene) -> set[str]:
    return {
        name
        for group in scene.manager.groups()
        for each in group["alerts"]
        for name in each["status"].get("mutedBy", [])
    }


@pytest.mark.parametrize("fault", ["failing", "hanging"])
def test_broken_service_does_not_hold_up_the_others(tmp_path: Path, fault: str) -> None:
    """Where Slack answers 500, or nothing, PagerDuty, a webhook and Teams are told all the same."""
    by_all = {"pagerduty": "pagerduty", "webhook": "webhook", "slack": "slack", "teams": "msteams"}
    with _scene(tmp_path, {"platform": {"warning": by_all}}) as scene:
        getattr(scene.web, fault).add("/slack")
        for name in ("PrefectDeploymentStale", "PrefectFlowRunFailed"):
            scene.manager.post([alert(name)])

        for service in ("pagerduty", "webhook", "msteams"):
            assert len(scene.wait(service, 2)) == 2
        scene.wait("slack")


def test_secrets_are_nowhere_but_in_their_files(tmp_path: Path) -> None:
    """Neither the API, nor the log, nor the process list shows one, even where a service fails."""
    by_all = {"pagerduty": "pagerduty", "webhook": "hook", "slack": "slack_hook", "teams": "card"}
    email = {"sender": "a@b.c", "server": "127.0.0.1:1", "user": "me", "tls": False}
    team = {"critical": {**by_all, "email": ["a@b.c"]}, "warning": {"slack": "#ops"}}
    for name in ("hook", "slack_hook", "card"):
        (tmp_path / name).write_text(f"http://127.0.0.1:1/hush-{name}")
    for name in ("slack_token", "email_password"):
        (tmp_path / name).write_text(f"hush-{name}")
    with _scene(tmp_path, {"platform": team}, email=email) as scene:
        scene.web.failing |= {"/pagerduty", "/bot"}
        scene.manager.post([alert("A", severity="critical"), alert("B")])
        wait_until(
            lambda: scene.manager.metric("alertmanager_notification_requests_failed_total") >= 6,
            within=60,
            what="each channel's failure",
        )
        scene.wait("bot")
        status = httpx.get(f"{scene.manager.url}/api/v2/status", trust_env=False).text
        metrics = httpx.get(f"{scene.manager.url}/metrics", trust_env=False).text
        process = psutil.Process(scene.manager.process.pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        log = scene.manager.process.log.read_text()

    assert "Notify attempt failed" in log
    assert [place for place in (status, metrics, seen, log) if "hush" in place] == []


def test_shipped_configuration_fails_to_tell_nobody(tmp_path: Path) -> None:
    """With no channel set, alerts stand in Alertmanager, and no notification fails."""
    with alertmanager(SHIPPED, tmp_path) as manager:
        manager.post([alert("PrefectServerDown", severity="critical"), alert("Ours", component="")])
        wait_until(
            lambda: manager.metric("alertmanager_dispatcher_aggregation_groups") == 2,
            within=60,
            what="both groups",
        )

        assert [each["status"]["state"] for each in manager.alerts()] == ["active", "active"]
        assert manager.metric("alertmanager_notifications_failed_total") == 0
