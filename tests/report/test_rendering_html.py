"""The report as one HTML file: whole, escaped, and by its own policy."""

from __future__ import annotations

import base64
import hashlib
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_exporter.report.model import Report
from prefect_exporter.report.rendering.html import render
from prefect_exporter.report.rendering.policy import policy
from report.hostile import ADDRESSES, NAMES
from report.outlines import Outline
from report.reports import UI, Texts, many_findings, report

DRAWN = {"svg", "g", "path", "rect", "circle", "text", "title", "defs", "marker"}
KNOWN = Outline(render(report()))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_adds_nothing(name: str) -> None:
    """A page with a hostile name everywhere has the elements of one with a harmless name."""
    check_nothing_added(report(Texts(name=name, message=name)))


@settings(max_examples=40)
@given(name=st.text(max_size=60), message=st.text(alphabet="<>&\"'/`={}%ab \n\x00", max_size=60))
def test_no_text_adds_anything(name: str, message: str) -> None:
    """Whatever the texts are, they are texts."""
    check_nothing_added(report(Texts(name=name, message=message)))


def check_nothing_added(hostile: Report) -> None:
    """Hold a page against that of a harmless report."""
    page = Outline(render(hostile))

    assert of_html(KNOWN) == of_html(page)
    assert {name for name, _ in page.elements} <= {name for name, _ in KNOWN.elements}
    attributes = {name for _, attrs in page.elements for name, _ in attrs}
    assert attributes <= {name for _, attrs in KNOWN.elements for name, _ in attrs} | {"transform"}
    assert not any(each.startswith("on") or each == "style" for each in attributes)


def of_html(page: Outline) -> list[str]:
    """Return what a page has besides drawings, which differ where a label is cut or turned."""
    return [name for name, _ in page.elements if name not in DRAWN]


@pytest.mark.parametrize("url", ADDRESSES)
def test_only_web_addresses_are_linked(url: str) -> None:
    """An address that could do more than lead to a page is shown as its text alone."""
    page = Outline(render(report(Texts(url=url))))

    addresses = {each for each in page.values("href") if not each.startswith("#")}
    assert {UI.format(2), "data:,"} == addresses


def test_nothing_is_taken_from_elsewhere() -> None:
    """The page names no file: no picture, font, script or style of another place."""
    html = render(report())
    page = Outline(html)

    assert not page.values("src")
    assert not {"img", "iframe", "object", "embed", "use", "image"} & {n for n, _ in page.elements}
    assert "@import" not in html
    assert {"url(#arrow-who)"} == set(re.findall(r"url\([^)]*\)", html))


def test_policy_lets_the_own_style_and_script_through() -> None:
    """The hashes in the page are those of its one style and its one script."""
    html = render(report())

    found = policy(html)
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in found
    assert found.startswith("default-src 'none';")
    assert "unsafe" not in found


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<!doctype html><p>hello",
        '<meta http-equiv="Content-Security-Policy" content="default-src *">',
        " " * 2_000 + render(report()),
    ],
)
def test_foreign_file_may_do_nothing(html: str) -> None:
    """A file without our policy at its head is served with one that forbids everything."""
    assert "default-src 'none'" == policy(html)


def test_all_of_the_report_is_there() -> None:
    """Each text of the report stands on the page, each finding once."""
    made = report()
    text = " ".join(Outline(render(made)).texts)

    for section in made.sections:
        assert section.title in text
        assert all(each in text for each in section.paragraphs)
        assert all(each.title in text for each in section.tables)
        assert all(each.title in text for each in section.charts)
    assert all(each in text for each in made.scope.notes)
    ids = Outline(render(made)).values("id")
    assert [f"finding-{n}" for n in range(1, 17)] == sorted(
        (each for each in ids if re.fullmatch(r"finding-\d+", each)),
        key=lambda each: int(each.partition("-")[2]),
    )
    assert len(ids) == len(set(ids))


def test_finding_of_an_unknown_section_is_not_lost() -> None:
    """What belongs to no section stands in one of its own."""
    page = Outline(render(report()))

    assert "more" in page.values("id")
    assert "Other findings" in page.texts


def test_each_chart_has_its_numbers_as_text() -> None:
    """A drawing is a picture with a name, and a table below it says the same."""
    html = render(report())

    assert 4 == html.count("<svg ")
    assert 3 == html.count(' role="img" ')
    assert 3 == html.count("<summary>Numbers of this chart</summary>")
    assert '<td class="number" data-value="130.5">130.5</td>' in html


def test_nodes_of_a_graph_lead_to_prefect() -> None:
    """A node with a page is a link with a name, in the drawing and in its table; others are not."""
    html = render(report())
    drawing = re.findall(r'<svg [^>]*role="group".*?</svg>', html, re.DOTALL)[0]

    (link,) = re.findall(r"<a ([^>]*)><title>([^<]*)</title>", drawing)
    assert f'href="{UI.format(1)}"' in link[0]
    assert 'rel="noreferrer"' in link[0]
    assert "etl/nightly: deployment, 7 runs, 50 % failed, 3 downstream" == link[1]
    cell = f'<a href="{UI.format(1)}" rel="noreferrer">etl/nightly</a></td>'
    table = html.partition("Who starts whom, as a table")[2].partition("</table>")[0]
    assert 2 == table.count(cell)
    assert 2 == table.count("<a ")


def test_thousand_findings_of_one_check_are_a_table() -> None:
    """The gravest are told in full, the others are a row each, and no finding is told twice."""
    html = render(many_findings())

    assert len(html) < 2_000_000
    assert 25 + 1 == html.count('<article class="card finding')
    assert "<summary>975 more of <code>flow-flaky</code>, as a table</summary>" in html
    numbers = re.findall(r'id="finding-(\d+)"', html)
    assert [*map(str, range(1, 26)), "1001"] == numbers
    table = html.partition("975 more of <code>")[2].partition("</details>")[0]
    assert 975 == table.count("<tr>") - 1
    assert "flow 0026/nightly" in table
    assert "flow 1000/nightly" in table


def test_rows_of_findings_end_somewhere() -> None:
    """Beyond a thousand rows the page says how many the JSON has besides."""
    html = render(many_findings(1_100))

    assert "1,075 more of <code>flow-flaky</code>" in html
    assert "And 75 more, which the JSON has." in html


def test_empty_report_is_a_page() -> None:
    """A report without sections and findings can be shown."""
    empty = msgspec.structs.replace(report(), sections=(), findings=())

    page = Outline(render(empty))

    assert "main" in {name for name, _ in page.elements}
    assert "0 high, 0 medium, 0 low" in " ".join(page.texts)


def test_same_report_is_the_same_file() -> None:
    """Two files of one report do not differ."""
    assert render(report()) == render(report())
