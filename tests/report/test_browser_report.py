"""The HTML report in a real Chromium, as people use it.

``UPDATE_PICTURES=1`` draws docs/images/report-*.png anew, of a week with one of every defect.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page

from browsers import DESKTOP, PHONE, Browser, Visit
from prefect_exporter.report.build import build
from prefect_exporter.report.rendering.html import render
from report.hostile import NAMES
from report.reports import Texts, report
from report.worlds import workspace

Colours = Literal["light", "dark"]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
PLANTED = sorted((Path(__file__).parent / "planted").glob("[a-z]*.py"))
SHOWN: tuple[tuple[str, Colours, str], ...] = (
    ("report-light", "light", ""),
    ("report-dark", "dark", "failures"),
)


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(report(deployments=30)), encoding="utf-8")
    return path


@pytest.fixture(name="visit")
def _visit(browser: Browser, file: Path) -> Iterator[Visit]:
    with browser.visit(file) as visit:
        yield visit


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_keeps_people_from_reading(
    browser: Browser, file: Path, colours: Colours, window: tuple[int, int]
) -> None:
    """Axe finds no barrier, the console is silent, and nothing is cut or asked for elsewhere."""
    with browser.visit(file, window=window, colours=colours) as visit:
        visit.page.evaluate(
            "for (const each of document.querySelectorAll('details')) each.open = true"
        )

        assert [] == visit.barriers()
        assert [] == visit.errors
        assert [file.as_uri()] == [each for each in visit.requests if not each.startswith("data:")]
        assert 0 == visit.overflow()


def test_axe_would_find_a_barrier(browser: Browser, tmp_path: Path) -> None:
    """The tests above can fail: poor contrast and a nameless picture are found."""
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><html lang=en><title>x</title><style>p { color: #ddd }</style>"
        "<main><h1>Heading</h1><p>Some text that is hard to read</p><img src='data:,'></main>"
    )

    with browser.visit(page) as visit:
        found = " ".join(visit.barriers())

    assert "color-contrast" in found
    assert "image-alt" in found


@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_does_nothing(browser: Browser, tmp_path: Path, name: str) -> None:
    """A hostile name runs nothing, asks for nothing and widens nothing."""
    page = tmp_path / "page.html"
    page.write_text(render(report(Texts(name=name, message=name))), encoding="utf-8")

    with browser.visit(page, window=PHONE) as visit:
        assert [] == visit.errors
        assert [] == visit.outside
        assert 0 == visit.overflow()


def test_table_sorts_by_click(visit: Visit) -> None:
    """A click on a heading sorts by its numbers, a second one the other way round."""
    heading = column(visit.page, "Median")

    heading.get_by_role("button").click()
    assert "ascending" == heading.get_attribute("aria-sort")
    assert ["80 ms", "320 ms", "720 ms"] == cells(visit.page, 2)[:3]

    heading.get_by_role("button").click()
    assert "descending" == heading.get_attribute("aria-sort")
    assert ["1 min 12 s", "1 min 7 s", "1 min 3 s"] == cells(visit.page, 2)[:3]


@pytest.mark.parametrize("times", [1, 2])
def test_what_has_no_value_stands_last(visit: Visit, times: int) -> None:
    """A row without a value is last, whichever way is sorted."""
    for _ in range(times):
        column(visit.page, "Memory").get_by_role("button").click()

    assert "-" == cells(visit.page, 5)[-1]


def test_one_column_sorts_at_a_time(visit: Visit) -> None:
    """Who sorts by another column is not told of the first one any more."""
    column(visit.page, "Name").get_by_role("button").click()
    column(visit.page, "Runs").get_by_role("button").click()

    assert 1 == visit.page.locator("#performance th[aria-sort]").count()
    assert cells(visit.page, 1)[:-1] == sorted(cells(visit.page, 1)[:-1], key=int)


def test_table_sorts_by_keyboard(visit: Visit) -> None:
    """The headings are reached by the tab key, and sort by enter and by space."""
    button = column(visit.page, "Runs").get_by_role("button")
    column(visit.page, "Name").get_by_role("button").focus()
    visit.page.keyboard.press("Tab")

    assert button.evaluate("each => each === document.activeElement")
    visit.page.keyboard.press("Enter")
    assert "ascending" == column(visit.page, "Runs").get_attribute("aria-sort")
    visit.page.keyboard.press("Space")
    assert "descending" == column(visit.page, "Runs").get_attribute("aria-sort")


def test_node_of_a_graph_is_followed_by_keyboard(visit: Visit) -> None:
    """What has a page is a link with a name, which the tab key reaches and shows."""
    link = visit.page.locator("svg.graph a")

    assert 1 == link.count()
    name = "etl/nightly: deployment, 7 runs, 50 % failed, 3 downstream"
    assert 1 == visit.page.get_by_role("link", name=name, exact=True).count()
    visit.page.locator("#dependencies [role=region]").first.focus()
    visit.page.keyboard.press("Tab")
    assert link.evaluate("each => each === document.activeElement")
    assert "3px" == link.locator("rect").evaluate("each => getComputedStyle(each).strokeWidth")


def test_first_tab_leads_past_the_contents(visit: Visit) -> None:
    """Who uses the keyboard can skip to the report."""
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")

    assert visit.page.url.endswith("#main")
    assert "main" == visit.page.evaluate("document.activeElement.id")


def test_contents_lead_to_the_sections(visit: Visit) -> None:
    """Each entry of the contents has its section."""
    links = visit.page.locator("nav a")
    for place in range(links.count()):
        target = links.nth(place).get_attribute("href") or ""
        assert 1 == visit.page.locator(target).count(), target


def test_report_is_whole_without_javascript(browser: Browser, file: Path) -> None:
    """Without scripts all can be read and unfolded; headings are plain words."""
    with browser.visit(file, javascript=False) as visit:
        assert [] == visit.errors
        assert 0 == visit.page.get_by_role("button").count()
        assert visit.page.locator("svg").first.is_visible()
        folded = visit.page.locator("#performance > details .finding").last
        assert not folded.is_visible()
        visit.page.locator("#performance > details > summary").click()
        assert folded.is_visible()


def test_report_prints(visit: Visit) -> None:
    """On paper it is light, unfolded and without navigation, and comes out as a PDF."""
    assert visit.page.pdf().startswith(b"%PDF")

    visit.page.emulate_media(media="print", color_scheme="dark")
    assert not visit.page.locator("nav").is_visible()
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert "rgb(255, 255, 255)" == background
    assert visit.page.locator("#performance > details .finding").last.is_visible()


def test_thousand_deployments_can_be_read(browser: Browser, tmp_path: Path) -> None:
    """A table of a thousand rows opens and sorts."""
    page = tmp_path / "large.html"
    page.write_text(render(report(deployments=1_000)), encoding="utf-8")

    with browser.visit(page) as visit:
        column(visit.page, "Median").get_by_role("button").click()
        column(visit.page, "Median").get_by_role("button").click()

        assert "etl/nightly 1000" == cells(visit.page, 0)[0]
        assert 1_001 == len(cells(visit.page, 0))
        assert [] == visit.errors


def test_report_of_every_defect_can_be_read(browser: Browser, tmp_path: Path) -> None:
    """A report that was built of a workspace with one of every defect has no barrier either."""
    page = tmp_path / "defects.html"
    with workspace(target="production", compare=True) as world:
        for each in PLANTED:
            import_module(f"report.planted.{each.stem}").plant(world)
        page.write_text(render(build(world.workspace)), encoding="utf-8")

    for name, colours, section in SHOWN:
        with browser.visit(page, window=(1280, 1100), colours=colours) as visit:
            # Axe takes long for so many elements; the test above has the other colours.
            assert colours == "dark" or [] == visit.barriers()
            assert [] == visit.errors
            assert 0 == visit.overflow()
            if os.environ.get("UPDATE_PICTURES"):
                visit.page.evaluate(f"document.getElementById('{section}')?.scrollIntoView()")
                visit.picture(IMAGES / f"{name}.png")


def column(page: Page, title: str) -> Locator:
    """Return a heading of the first table that is not folded."""
    return page.locator("#performance > .card th", has_text=title).first


def cells(page: Page, place: int) -> list[str]:
    """Return the texts of a column, from top to bottom."""
    rows = page.locator(f"#performance > .card tbody td:nth-child({place + 1})")
    return [each.strip() for each in rows.all_inner_texts()]
