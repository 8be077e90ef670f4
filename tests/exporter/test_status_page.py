"""The status page without a browser: what stands on it, whatever things are called."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fronts import FAILING, WORKING, FakeService, ask_of, status
from healths import World, crowded, troubled, usual
from prefect_exporter.health.whole import health_of
from prefect_exporter.lateness.model import Cause
from prefect_exporter.server import Auth, create_app
from prefect_exporter.status import TargetStatus

MOST_BYTES = 200_000
EVIL = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</title></style></script><b>",
    "javascript:alert(1)",
    "a\u202eb\x00c\x1bd\u2028e",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 10_000,
    "\N{PILE OF POO}" * 100,
    "",
)


class Elements(HTMLParser):
    """What a browser would see: each element with its attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        """Return an attribute of each element of a kind."""
        return [
            attrs[attribute] or ""
            for name, attrs in self.tags
            if name == tag and attribute in attrs
        ]


def page(*worlds: World, service: FakeService | None = None) -> str:
    """Return the page of these targets."""
    service = service or FakeService()
    service.prefect = health_of([world.readings() for world in worlds])
    if len(worlds) > 1:
        targets = tuple(TargetStatus(each.name, each.url, None) for each in worlds)
        service.now = replace(service.now, targets=targets)
    return ask_of(create_app(service, auth=Auth()), "/").text


def section(text: str, name: str) -> str:
    """Return the words of a part of the page."""
    found = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert found
    return " ".join(re.sub("<[^>]+>", " ", found[0].replace("<wbr>", "")).split())


def test_page_answers_its_question_first() -> None:
    """The word and the sentence stand above everything else, and the word is the title."""
    text = page(troubled())

    assert "<title>Stopped · Prefect</title>" in text
    body = Elements(text).text.partition("Is Prefect all right?")[0]
    assert body.rstrip().endswith("Work pool reports has no worker, and 7 runs wait for one.")


def test_page_shows_each_part() -> None:
    """Each part of a workspace in trouble has its rows, with a mend where one is known."""
    text = page(troubled())

    assert "default Stopped 3.8.8 42 ms 11 http://127.0.0.1:4200/api" in section(text, "targets")
    assert "train-model/weekly pending 1 40 min" in section(text, "work")
    mended = "daily-report/finance late: no worker prefect worker start --pool reports 7 26 min"
    assert mended in section(text, "work")
    assert "reports process no worker, 7 late 0 of 2 - 1 h" in section(text, "pools")
    assert "default process 2 late 2 3 of 10 12 s" in section(text, "pools")
    assert "score/live 20+ 2 min ago never" in section(text, "failing")
    assert "amber-fox-2 score/live Failed upstream TimeoutError: feature" in section(
        text, "failures"
    )
    assert "DbtError: 3 of 212 models failed dbt/hourly upstream 6 14 min ago" in section(
        text, "alike"
    )
    assert "Failed per minute over the last 59 min" in text


def test_one_mend_stands_once() -> None:
    """Of a thousand deployments without runs ten are shown; the command that mends all, once."""
    world = World()
    for number in range(1_000):
        world.is_not_made(world.deployment("etl", f"d{number:03}"))

    words = section(page(world), "work")

    assert "etl/d000 no runs are made: scheduler behind prefect server services start 0 -" in words
    assert 10 == words.count("no runs are made: scheduler behind")
    assert 1 == words.count("prefect server services start")
    assert "and 990 more" in words


def test_long_messages_are_whole_for_who_points_at_them() -> None:
    """What the page has no room for stands in a title, and holds no secret there either."""
    world = World()
    world.failed(("etl", "hourly"), 'E: "<b>" password=hunter2 ' + "word " * 60)

    elements = Elements(page(world))

    titles = elements.all("div", "title")
    assert 2 == len(titles)
    assert all('"<b>"' in title and title.endswith("word") for title in titles)
    assert "hunter2" not in titles[0]


def test_calm_page_says_so_in_each_part() -> None:
    """Where there is nothing to list, a sentence says that it is good news."""
    text = page(World())

    assert "Nothing is late or stuck." in section(text, "work")
    assert "The last run of every deployment that ran was good." in section(text, "failing")
    assert "Nothing has failed lately." in section(text, "failures")


@pytest.mark.parametrize("part", ["work", "pools", "failing", "failures", "alike"])
def test_what_is_not_known_is_not_good_news(part: str) -> None:
    """A part that nobody has looked at yet says that, and not that there is nothing."""
    world = World()
    world.starts(
        "flow_runs_late", "work_pools", "deployment_history", "failure_groups", "flow_runs_active"
    )

    words = section(page(world), part)

    assert "Not known yet." in words
    assert not re.search("Nothing|no work pools|was good", words)


def test_rows_tell_their_target_where_there_are_several() -> None:
    """With two targets each row says whose it is."""
    one, two = World("prod"), World("test")
    one.is_late(one.deployment("etl", "hourly"), 1, 10.0)

    text = page(one, two)

    assert "etl/hourly prod late" in section(text, "work")


def test_crowded_page_stays_small_and_counts_the_rest() -> None:
    """A thousand deployments that are late and fail make a page under 200 kB."""
    text = page(crowded())

    assert len(text.encode()) < MOST_BYTES
    assert "and 990 more" in section(text, "work")


def test_page_needs_nothing_from_elsewhere() -> None:
    """The page is one file: no picture, font, style or script of another address."""
    elements = Elements(page(usual()))

    fetched = [
        attrs for tag, attrs in elements.tags if {"src", "srcset", "data", "action"} & attrs.keys()
    ]
    assert [] == fetched
    assert {"icon"} >= set(elements.all("link", "rel"))
    assert not re.search(r"@import|url\(", page(usual()))


@pytest.mark.parametrize("evil", EVIL, ids=[ascii(each)[:20] for each in EVIL])
def test_hostile_names_stay_text(evil: str) -> None:
    """Whatever a thing is called, the page has the same elements, and links lead to Prefect."""

    def world(name: str) -> World:
        made = World()
        made.pool(name, online=0, type=name)
        deployment = made.deployment(name, name, pool=name)
        made.is_late(deployment, 1, 1_000.0, pool=name)
        made.why(deployment, Cause.UNKNOWN, name)
        made.fails(deployment, 3)
        made.failed(deployment, name)
        return made

    service = FakeService(now=status(WORKING, replace(FAILING, error=evil)))
    plain, hostile = (Elements(page(world(name), service=service)) for name in ("name", evil))

    if evil:
        assert [tag for tag, _ in plain.tags] == [tag for tag, _ in hostile.tags]
    links = [link for link in hostile.all("a", "href") if ":" in link]
    assert links
    assert all(link.startswith("http://127.0.0.1:4200") for link in links)
    assert not {key for _, attrs in hostile.tags for key in attrs if key.startswith("on")}
    assert not re.search("[\x00\x1b\u202e\u2028]", hostile.text)


def test_json_tells_the_same() -> None:
    """`/status.json` answers with the page's verdict, under the page's guard."""
    service = FakeService(prefect=health_of([troubled().readings()]))

    answer = ask_of(create_app(service, auth=Auth()), "/status.json")

    assert "application/json" == answer.headers["content-type"]
    assert "Stopped" == json.loads(answer.content)["verdict"]["word"]


@pytest.mark.parametrize(
    ("query", "targets", "failed", "expected"),
    [
        ("", 1, b"{}", (200, "{}")),
        ("?target=a", 1, b"{}", (200, "{}")),
        ("?target=a", 2, b"{}", (200, "{}")),
        ("", 2, b"{}", (400, "give ?target=NAME; known are a, b\n")),
        ("", 0, b"{}", (400, "give ?target=NAME; known are none\n")),
        ("?target=c%0A", 1, b"{}", (404, "no target is called 'c\\n'\n")),
        (
            "",
            1,
            None,
            (
                503,
                "failures are not known now; the page says how the collector failure_groups is\n",
            ),
        ),
    ],
)
def test_failures_are_those_of_one_target(
    query: str, targets: int, failed: bytes | None, expected: tuple[int, str]
) -> None:
    """`/api/failures` needs a name where there are several targets, and says what is amiss."""
    named = tuple(TargetStatus(name, "http://x/api", None) for name in "ab"[:targets])
    service = FakeService(now=replace(status(WORKING), targets=named), failed=failed)

    answer = ask_of(create_app(service, auth=Auth()), f"/api/failures{query}")

    assert expected == (answer.status_code, answer.text)
