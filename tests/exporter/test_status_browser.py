"""The status page in a real Chromium: seen, read aloud, used by keyboard, and renewed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect
from pydantic import SecretStr

from browsers import DESKTOP, PHONE, Browser, Visit
from fronts import FAILING, WORKING, FakeService, serving, status
from healths import WATCHED, World, crowded, troubled, usual
from prefect_exporter.health.whole import health_of
from prefect_exporter.server import Auth

IMAGES = Path(__file__).parents[2] / "docs" / "images"
UPDATE = "UPDATE_PICTURES"
# What the page promises: a change shows within five seconds.
RENEWED_MS = 5_000
# For a machine that is busy with more than the page.
PATIENCE_MS = 30_000
COLLECTORS = (*WATCHED, "deployments", "heartbeats", "events", "automations", "failure_groups")

LONG = (
    "Process exited with status code -9. It exited due to a SIGKILL signal, typically caused by "
    "the system ending the process for exceeding its memory, or by somebody who stopped it. "
) * 2
# Words of names, each of which has as many boxes as lines it stands on.
BROKEN_WORDS = """() => {
    const broken = [];
    for (const cell of document.querySelectorAll("td:first-child:not(.text), td.name")) {
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            for (const word of texts.currentNode.data.matchAll(/[A-Za-z]+/g)) {
                const range = document.createRange();
                range.setStart(texts.currentNode, word.index);
                range.setEnd(texts.currentNode, word.index + word[0].length);
                if (range.getClientRects().length > 1) broken.push(word[0]);
            }
        }
    }
    return broken;
}"""

Colours = Literal["light", "dark"]


def service_of(*worlds: World) -> FakeService:
    """Return a front that shows these targets."""
    collectors = status(*(replace(WORKING, name=name) for name in COLLECTORS))
    health = health_of([world.readings() for world in worlds])
    return FakeService(now=collectors, prefect=health)


@contextmanager
def visiting(
    browser: Browser,
    service: FakeService,
    *,
    window: tuple[int, int] = DESKTOP,
    colours: Colours = "light",
    javascript: bool = True,
) -> Iterator[Visit]:
    """Serve a front, and look at its page until left; nothing may be wrong with it."""
    with serving(service) as address:
        look = {"window": window, "colours": colours, "javascript": javascript}
        with browser.visit(address, **look) as visit:  # type: ignore[arg-type]  # its own arguments
            yield visit
            assert [] == visit.errors
            assert [] == visit.outside


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_use_the_page(
    browser: Browser, window: tuple[int, int], colours: Colours
) -> None:
    """Axe finds no barrier in either colour and width, and nothing sticks out of the window."""
    service = service_of(troubled(), World("other"))
    service.now = replace(
        service.now, collectors=(*service.now.collectors, replace(FAILING, target="other"))
    )
    with visiting(browser, service, window=window, colours=colours) as visit:
        assert [] == visit.barriers()
        assert 0 == visit.overflow()


@pytest.mark.parametrize("world", [usual, troubled])
def test_workspace_fits_on_one_screen(browser: Browser, world: Callable[[], World]) -> None:
    """On a desktop nothing of a usual workspace, also in trouble, is below the window's edge."""
    with visiting(browser, service_of(world())) as visit:
        height = visit.page.evaluate("document.documentElement.scrollHeight")

        assert height <= DESKTOP[1]


def test_long_messages_leave_the_page_on_one_screen(browser: Browser) -> None:
    """Of many failures with long messages five are shown, with two lines each."""
    world = usual()
    for number in range(12):
        kind = f"{LONG[: number * 7]}Error"
        world.failed(("crashing", "every-hour"), f"{kind}: {LONG}", number=12 - number)
    with visiting(browser, service_of(world)) as visit:
        page = visit.page
        lines = page.locator("#failures .lines, #alike .lines")
        heights = [box["height"] for each in lines.all() if (box := each.bounding_box())]

        assert 10 == lines.count()
        expect(page.locator("#failures")).to_contain_text("and 8 more")
        assert page.evaluate("document.documentElement.scrollHeight") <= DESKTOP[1]
        # Two lines of 14 px by 1.4.
        assert max(heights) < 40
        assert [] == visit.barriers()


def test_keyboard_unfolds_a_long_message(browser: Browser) -> None:
    """Whoever cannot point at a message reads it whole while the row's link has the focus."""
    world = usual()
    world.failed(("crashing", "crashing"), LONG)
    with visiting(browser, service_of(world)) as visit:
        message = visit.page.locator("#failures .lines").last
        before = message.bounding_box()
        visit.page.locator("#failures-rows").focus()
        for _ in range(2):
            visit.page.keyboard.press("Tab")
        after = message.bounding_box()

    assert before
    assert after
    assert after["height"] > before["height"]


def test_names_break_between_words(browser: Browser) -> None:
    """A name of usual length is broken behind its slash or hyphens if at all, in every table."""
    world = usual()
    for name in ("crashing", "unattended", "timing-out", "finance-report"):
        place = world.deployment(name, name)
        world.failed(place, LONG)
        world.fails(place, 3)
        world.is_late(place, 1, 4_000.0)
        world.pool(name, online=0)
    with visiting(browser, service_of(world)) as visit:
        broken = visit.page.evaluate(BROKEN_WORDS)

    assert [] == broken


def test_phone_has_one_column(browser: Browser) -> None:
    """At 360 px every part begins at the same edge, one below the other."""
    with visiting(browser, service_of(troubled()), window=PHONE) as visit:
        boxes = [part.bounding_box() for part in visit.page.locator("main > section").all()]

    assert len(boxes) >= 8
    assert 1 == len({box["x"] for box in boxes if box})
    tops = [box["y"] for box in boxes if box]
    assert sorted(set(tops)) == tops


def test_crowded_workspace_is_shown(browser: Browser) -> None:
    """A thousand deployments that are late and fail: the page stands, and stays usable."""
    with visiting(browser, service_of(crowded()), window=PHONE) as visit:
        expect(visit.page.locator("#work")).to_contain_text("and 990 more")
        assert 0 == visit.overflow()
        assert [] == visit.barriers()


def test_change_shows_within_five_seconds(browser: Browser) -> None:
    """What the exporter learns stands on the page soon after, without a reload."""
    service = service_of(usual())
    with visiting(browser, service) as visit:
        # The page's own clock, which stands still but for those five seconds.
        visit.page.clock.install(time=0)
        visit.page.clock.pause_at(1)
        visit.page.reload()
        expect(visit.page.locator("h1")).to_have_text("Fine")
        visit.page.evaluate("window.same = true")
        service.prefect = service_of(troubled()).prefect
        visit.page.clock.run_for(RENEWED_MS)

        expect(visit.page.locator("h1")).to_have_text("Stopped", timeout=PATIENCE_MS)
        expect(visit.page.locator("#work")).to_contain_text("daily-report/finance")
        expect(visit.page).to_have_title("Stopped · Prefect")
        assert visit.page.evaluate("window.same")


def test_renewal_takes_nothing_from_whoever_reads(browser: Browser) -> None:
    """The focus stays where it was, and what was opened stays open, while values change."""
    service = service_of(usual())
    with visiting(browser, service) as visit:
        page = visit.page
        page.locator("summary").click()
        page.locator("#failing a").focus()
        changed = usual()
        changed.fails(("sync-crm", "every-15-min"), 7)
        service.prefect = service_of(changed).prefect
        service.now = replace(service.now, series=4_321)

        expect(page.locator("#failing td.number").first).to_have_text("7", timeout=PATIENCE_MS)
        expect(page.locator("#exporter")).to_contain_text("4,321")
        expect(page.locator("#failing a")).to_be_focused()
        assert page.locator("details").get_attribute("open") is not None


def test_hidden_tab_asks_nothing_and_a_shown_one_at_once(browser: Browser) -> None:
    """A tab that nobody looks at leaves the exporter alone; it renews when it is shown again."""
    service = service_of(usual())
    with visiting(browser, service) as visit:
        visit.page.clock.install()
        visit.page.reload()
        show(visit, hidden=True)
        before = len(visit.requests)
        visit.page.clock.run_for(60_000)
        hidden = len(visit.requests)
        service.prefect = service_of(troubled()).prefect
        show(visit, hidden=False)

        expect(visit.page.locator("h1")).to_have_text("Stopped", timeout=PATIENCE_MS)
        assert before == hidden


def show(visit: Visit, *, hidden: bool) -> None:
    """Let the page believe that its tab was hidden or shown."""
    visit.page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_exporter_that_is_gone_is_told(browser: Browser) -> None:
    """The page says since when nobody answers, greys out, and keeps the last values; then mends."""
    service = service_of(usual())
    with ExitStack() as stack:
        address = stack.enter_context(serving(service))
        with browser.visit(address) as visit:
            page = visit.page
            page.route("**/*", lambda route: route.abort())

            expect(page.locator("#gone")).to_be_visible(timeout=PATIENCE_MS)
            expect(page.locator("#gone")).to_contain_text("has not answered since")
            assert "grayscale(1)" == page.locator("main").evaluate(
                "e => getComputedStyle(e).filter"
            )
            expect(page.locator("h1")).to_have_text("Fine")
            assert [] == visit.barriers()

            page.unroute("**/*")
            expect(page.locator("#gone")).to_be_hidden(timeout=PATIENCE_MS)
            assert "none" == page.locator("main").evaluate("e => getComputedStyle(e).filter")


def test_page_works_without_javascript(browser: Browser) -> None:
    """All that there is to read is there, and a sentence says that it does not renew itself."""
    with visiting(browser, service_of(troubled()), javascript=False) as visit:
        page = visit.page
        expect(page.locator("h1")).to_have_text("Stopped")
        expect(page.locator("#work")).to_contain_text("prefect worker start --pool reports")
        expect(page.get_by_text("load it again")).to_be_visible()
        page.locator("summary").click()
        expect(page.locator("#collectors-default table")).to_be_visible()


def test_page_is_used_by_keyboard(browser: Browser) -> None:
    """The first key leads past the head; links, tables and what opens are reached and open."""
    with visiting(browser, service_of(troubled())) as visit:
        page = visit.page
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 40)"))
        page.locator("summary").focus()
        page.keyboard.press("Enter")

        assert {"work", "pools", "failing", "failures", "alike"} <= {
            name
            for name in ("work", "pools", "failing", "failures", "alike")
            if any(f'id="{name}-rows"' in each for each in reached)
        }
        expect(page.locator("#collectors-default table")).to_be_visible()


def test_page_behind_a_password_renews_itself(browser: Browser) -> None:
    """The browser's credential goes with each renewal."""
    service = service_of(usual())
    auth = Auth(basic=SecretStr("me:password"))
    login = {"Authorization": "Basic bWU6cGFzc3dvcmQ="}
    with serving(service, auth=auth) as address, browser.visit(address, headers=login) as visit:
        service.prefect = service_of(troubled()).prefect

        expect(visit.page.locator("h1")).to_have_text("Stopped", timeout=PATIENCE_MS)
        assert [] == visit.errors


@pytest.mark.parametrize(
    ("name", "window", "colours"),
    [
        ("status-light.png", DESKTOP, "light"),
        ("status-dark.png", DESKTOP, "dark"),
        ("status-phone.png", PHONE, "light"),
    ],
)
def test_pictures_show_the_page(
    browser: Browser, name: str, window: tuple[int, int], colours: Colours
) -> None:
    """The pictures in the documentation are of this page; UPDATE_PICTURES=1 takes them anew."""
    path = IMAGES / name
    if os.environ.get(UPDATE):
        with visiting(browser, service_of(troubled()), window=window, colours=colours) as visit:
            visit.picture(path)

    size = path.read_bytes()[16:24]
    assert window == (int.from_bytes(size[:4]), int.from_bytes(size[4:]))
