"""The runbooks as a page: anchors to link to, nothing that a browser would run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import SecretStr

from fronts import SAFE, FakeService, ask_of
from prefect_exporter.routes import METRICS, PAGE
from prefect_exporter.runbooks import Runbooks, packaged_alerts
from prefect_exporter.server import Auth, create_app

ROOT = Path(__file__).parents[2]
SMALL = """\
# Alerts

## Server and proxy

### PrefectServerDown

critical · platform · for 2m

**Meaning** Nobody answers `/api/ready`.

| Label | Value |
|---|---|
| target | prod |

```promql
probe_success < 1
```

### `PrefectServerReplicaDown`
"""
AUTH = Auth(basic=SecretStr("me:password"))
LOGIN = {"Authorization": "Basic bWU6cGFzc3dvcmQ="}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]


def anchors(html: str) -> list[str]:
    """Return the id of each element, in order."""
    parser = _Anchors()
    parser.feed(html)
    return parser.ids


def shown(markdown: str) -> str:
    """Return what the page has between its <main> tags."""
    html = Runbooks(markdown).page("nonce")
    return html.partition("<main>\n")[2].partition("</main>")[0]


def test_each_heading_has_an_anchor() -> None:
    """A heading is found by its text in lower case, as a runbook link writes it."""
    app = create_app(FakeService(), auth=Auth(), alerts=SMALL)
    answer = ask_of(app, "/runbooks")

    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    expected = ["alerts", "server-and-proxy", "prefectserverdown", "prefectserverreplicadown"]
    assert expected == anchors(answer.text)


def test_text_tables_and_code_are_shown() -> None:
    """What a runbook is made of is there as HTML."""
    text = shown(SMALL)

    assert "<p><strong>Meaning</strong> Nobody answers <code>/api/ready</code>.</p>" in text
    assert "<td>prod</td>" in text
    assert "probe_success &lt; 1" in text


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "### <b onclick=alert(1)>x</b>",
        '### x" onclick="alert(1)',
        "[x](javascript:alert(1))",
        "[x](<data:text/html,<script>alert(1)</script>>)",
        "```<script>\nx\n```",
    ],
)
def test_markup_stays_text(markdown: str) -> None:
    """Raw HTML and links that would run something are text, should any ever stand there."""
    tags = re.findall(r"<[^>]*>", shown(markdown))

    assert not [tag for tag in tags if re.search(r"script:|<script|<img|<b|[\s\"']on\w+=", tag)]


def test_links_lead_somewhere() -> None:
    """A link to another file is its text alone; web addresses and anchors stay links."""
    text = shown("[one](operations.md#start) [two](https://a.test/b) [three](#prefectserverdown)")

    links = '<a href="https://a.test/b">two</a> <a href="#prefectserverdown">three</a>'
    assert f"<p>one {links}</p>" == text.strip()


def test_missing_runbooks_are_said_in_plain_words() -> None:
    """Without the file there is a 404 that says where the text is, under the usual headers."""
    answer = ask_of(create_app(FakeService(), auth=Auth()), "/runbooks")

    said = "no runbooks came with this exporter; read docs/alerts.md of prefect-observability\n"
    assert (404, said) == (answer.status_code, answer.text)
    assert SAFE == {name: answer.headers.get(name) for name in SAFE}


def test_runbooks_are_guarded_as_the_page_is() -> None:
    """A credential guards the runbooks too."""
    app = create_app(FakeService(), auth=AUTH, alerts=SMALL)

    assert 401 == ask_of(app, "/runbooks").status_code
    assert 200 == ask_of(app, "/runbooks", headers=LOGIN).status_code


@pytest.mark.parametrize(("parts", "expected"), [((METRICS,), 404), ((PAGE,), 200)])
def test_runbooks_stand_where_the_page_does(parts: tuple[str, ...], expected: int) -> None:
    """Where metrics are bound apart, the runbooks are at the page's address alone."""
    app = create_app(FakeService(), auth=Auth(), parts=parts, alerts=SMALL)

    assert expected == ask_of(app, "/runbooks").status_code


def test_runbooks_have_the_headers_of_the_page() -> None:
    """Only the style with this answer's nonce gets in, and the rest is as everywhere."""
    app = create_app(FakeService(), auth=Auth(), alerts=SMALL)
    first, second = ask_of(app, "/runbooks"), ask_of(app, "/runbooks")
    policy = first.headers["content-security-policy"]
    (nonce,) = re.findall("'nonce-([^']+)'", policy)

    assert f'<style nonce="{nonce}">' in first.text
    assert nonce not in second.text
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    same = SAFE.keys() - {"content-security-policy"}
    assert {name: SAFE[name] for name in same} == {n: first.headers.get(n) for n in same}


def test_package_holds_the_documentation() -> None:
    """What the package shows is docs/alerts.md itself: the text stands once."""
    assert (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8") == packaged_alerts()


def test_every_alert_has_a_runbook() -> None:
    """The page has the anchor that the runbook link of each alert names, and no two alike."""
    rules = (ROOT / "deploy" / "prometheus" / "rules").glob("*/*.yml")
    alerts = {name for path in rules for name in re.findall(r"alert: (\w+)", path.read_text())}
    found = anchors(Runbooks(packaged_alerts()).page("nonce"))

    assert alerts
    assert [] == sorted({name.lower() for name in alerts} - set(found))
    assert sorted(set(found)) == sorted(found)
