"""Reports that are sent: to a mail server and to webhooks that listen on this machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from apprise.plugins.slack import NotifySlack
from pydantic import SecretStr

from alert_sinks import MailSink, WebSink, mail_sink, web_sink
from demo.processes import free_port
from prefect_exporter.errors import NotSent
from prefect_exporter.report.model import Report
from prefect_exporter.report.sending import read_addresses, send, summary, title
from report.hostile import NAMES
from report.reports import Texts, report

# Apprise still looks for a module that Python 3.13 has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

HTML = "<!doctype html><p>the whole report</p>"
SLACK = "slack://TJKH4K4LK/BJKH4K4LK/aaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(name="web")
def _web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebSink]:
    """A web server that stands in for Slack's too."""
    with web_sink() as sink:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{sink.url}/services")
        yield sink


@pytest.fixture(name="mail")
def _mail() -> Iterator[MailSink]:
    with mail_sink(free_port()) as sink:
        yield sink


def to_web(sink: WebSink, path: str = "hook") -> SecretStr:
    """Return the address of a plain webhook."""
    return SecretStr(f"{sink.url.replace('http', 'json')}/{path}")


def to_mail(sink: MailSink) -> SecretStr:
    """Return the address of a person who is reached by the mail server."""
    host, port = sink.address.split(":")
    return SecretStr(f"mailto://{host}:{port}?from=prefect@example.com&to=oncall@example.com")


def test_mail_holds_the_summary_and_the_report(mail: MailSink) -> None:
    """A mail says what to mend first, and has the whole report as a file."""
    send(report(), HTML, [to_mail(mail)])

    (received,) = mail.received
    assert "Prefect production: 1 high, 1 medium, 14 low" in received["Subject"]
    assert "oncall@example.com" in received["To"]
    body = received.get_body()
    assert body is not None
    assert "text/plain" == body.get_content_type()
    assert summary(report()).splitlines() == body.get_content().strip().splitlines()
    (file,) = received.iter_attachments()
    assert "prefect-report-2026-11-21.html" == file.get_filename()
    assert "text/html" == file.get_content_type()
    assert HTML == file.get_payload(decode=True).decode()  # type: ignore[union-attr]  # bytes


def test_slack_gets_the_summary(web: WebSink) -> None:
    """Slack's webhook is sent a title and a text that it shows whole."""
    send(report(), HTML, [SecretStr(SLACK)])

    (received,) = web.received
    assert "/services/TJKH4K4LK/BJKH4K4LK/aaaaaaaaaaaaaaaaaaaaaaaa" == received.path
    (message,) = received.body["attachments"]
    assert received.body["mrkdwn"] is False
    assert title(report()) == message["title"]
    assert summary(report()) == message["text"].strip()


def test_what_is_named_first_is_what_the_summary_begins_with() -> None:
    """A change that mends several findings is one, and work that never starts comes first."""
    one, other = report().findings[0], report().findings[1]
    replace = msgspec.structs.replace
    action = replace(one.action, change="start a worker")
    stopped = replace(one, title="No worker", hours=None, failures=None, action=action)
    said = summary(replace(report(), findings=(one, other, stopped)))

    first = said.partition("First:\n")[2].splitlines()
    assert [
        "1. High: No worker",
        f"2. High: {one.title} (saves 3.2 h and 14 failed runs a week)",
    ] == first


@pytest.mark.parametrize("name", NAMES)
def test_no_name_calls_everybody(name: str) -> None:
    """A chat finds no mention, no link and no control sequence in what is sent."""
    hostile = report(Texts(name=name, message=name))
    text = title(hostile) + summary(hostile)

    assert not set("<>@") & set(text)
    assert "://" not in text
    assert text.replace("\n", "").isprintable()
    assert len(summary(hostile)) <= 2_800


def test_each_address_is_tried(web: WebSink, mail: MailSink) -> None:
    """One that refuses, and one that nobody knows, keep the report from nobody else."""
    web.failing.add("/secret-path")
    addresses = [
        SecretStr("no address at all: hunter2"),
        to_web(web, "secret-path"),
        SecretStr("unknown://user:hunter2@host"),
        to_mail(mail),
        to_web(web),
    ]

    with pytest.raises(NotSent) as caught:
        send(report(), HTML, addresses)

    assert ((1, "not an address"), (2, "json"), (3, "unknown")) == caught.value.failed
    assert 1 == len(mail.received)
    assert 1 == len(web.bodies("/hook"))


def test_service_that_breaks_keeps_nobody_else_waiting(
    web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error may quote the address, and is not told."""

    def breaks(*_: object, **__: object) -> bool:
        raise RuntimeError(SLACK)

    monkeypatch.setattr(NotifySlack, "send", breaks)
    with pytest.raises(NotSent) as caught:
        send(report(), HTML, [SecretStr(SLACK), to_web(web)])

    assert ((1, "slack"),) == caught.value.failed
    assert 1 == len(web.bodies("/hook"))


def test_no_address_is_told(
    web: WebSink, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the error nor the log nor the terminal says an address that failed."""
    caplog.set_level(logging.DEBUG)
    web.failing |= {"/hunter2", "/services/TJKH4K4LK/BJKH4K4LK/aaaaaaaaaaaaaaaaaaaaaaaa"}
    addresses = [
        SecretStr("mailto://somebody:hunter2@127.0.0.1:1?to=x@example.com"),
        SecretStr("slack://hunter2"),
        SecretStr(SLACK),
        SecretStr("hunter2"),
    ]

    with pytest.raises(NotSent) as caught:
        send(report(), HTML, addresses)

    told = str(caught.value) + capsys.readouterr().err
    told += "".join(each.getMessage() for each in caplog.records if each.name != "urllib3")
    assert "hunter2" not in told
    assert "aaaaaaaa" not in str(caught.value)
    assert [1, 2, 3, 4] == [place for place, _ in caught.value.failed]


def test_addresses_are_read_from_a_file(tmp_path: Path) -> None:
    """One address a line; comments and empty lines are none."""
    path = tmp_path / "addresses"
    path.write_text("# on call\nmailto://a:b@example.com\n\n  slack://x/y/z  \n#json://off\n")

    found = [each.get_secret_value() for each in read_addresses(path)]

    assert ["mailto://a:b@example.com", "slack://x/y/z"] == found
    assert "a:b" not in str(read_addresses(path))


def test_summary_of_nothing_to_mend() -> None:
    """A report without findings says so by its counts, and has no list."""
    clean: Report = msgspec.structs.replace(report(), findings=())

    assert "Prefect production: 0 high, 0 medium, 0 low" == title(clean)
    assert "First:" not in summary(clean)
    assert "97.2 %" in summary(clean)


def test_nothing_is_sent_to_nobody(web: WebSink) -> None:
    """Without addresses nothing happens."""
    send(report(), HTML, [])

    assert [] == web.received


def test_webhook_gets_json(web: WebSink) -> None:
    """A plain webhook gets title, message and the file."""
    send(report(), HTML, [to_web(web)])

    (body,) = web.bodies("/hook")
    assert "prefect-report-2026-11-21.html" in json.dumps(body)
    assert title(report()) == body["title"]
