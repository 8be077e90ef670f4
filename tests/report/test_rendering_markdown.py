"""The report as Markdown: whole, escaped, bounded."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prefect_exporter.report.model import Section, Series
from prefect_exporter.report.rendering.markdown import escaped, render
from report.hostile import ADDRESSES, NAMES
from report.reports import UI, Texts, many_findings, report

GOLDEN = Path(__file__).parent / "golden" / "report.md"
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def test_report_is_as_in_the_golden_file() -> None:
    """Each part of a report has its place; UPDATE_GOLDEN=1 writes the file anew."""
    made = render(report())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(made, encoding="utf-8")

    assert GOLDEN.read_text(encoding="utf-8") == made


@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_adds_nothing(name: str) -> None:
    """A hostile name everywhere changes no heading, list, table, link or code block."""
    check_nothing_added(Texts(name=name, message=name))


@settings(max_examples=60)
@given(name=st.text("<>[]()*_`~|#-+=1.!&\\:/@ab \n\t", max_size=40), message=st.text(max_size=40))
@example(name="-", message="=")
@example(name="a", message="==")
def test_no_text_adds_anything(name: str, message: str) -> None:
    """Whatever the texts are, they are texts."""
    check_nothing_added(Texts(name=name, message=message))


def check_nothing_added(texts: Texts) -> None:
    """Hold the document's outline against that of a harmless one."""
    expected = outline(render(report(Texts(name="name", message="message"))))

    assert expected == outline(render(report(texts)))


def outline(markdown: str) -> list[str]:
    """Return what a document is made of, without its texts."""
    tokens = PARSER.parse(markdown)
    inside = [child for token in tokens for child in token.children or ()]
    return [*map(named, tokens), *(named(each) for each in inside if structural(each))]


def named(token: Token) -> str:
    """Return what a token is, and where it leads."""
    return f"{token.type} {token.tag} {token.attrGet('href') or ''}"


def structural(token: Token) -> bool:
    """Return whether it is more than text."""
    return token.type not in {"text", "softbreak", "text_special"}


@pytest.mark.parametrize("url", ADDRESSES)
def test_only_web_addresses_are_linked(url: str) -> None:
    """An address that could do more than lead to a page is shown as its text alone."""
    links = {
        str(child.attrGet("href"))
        for token in PARSER.parse(render(report(Texts(url=url))))
        for child in token.children or ()
        if child.type == "link_open"
    }

    assert {UI.format(2)} == links


@pytest.mark.parametrize("name", NAMES)
def test_text_is_read_as_it_was(name: str) -> None:
    """What stands between the marks is the name, as far as it can be seen."""
    seen = PARSER.parse(escaped(f"x{name.strip()}x"))[1].content if name.isprintable() else None

    if seen is not None and len(name) < 100:
        text = "".join(each.content for each in PARSER.parseInline(seen)[0].children or ())
        assert f"x{name.strip()}x" == text


def test_name_with_underscores_stays_readable() -> None:
    """An underscore within a word is no mark, so it is not escaped."""
    assert r"load_orders\_ \_x" == escaped("load_orders_ _x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. x", r"1\. x"),
        ("12) x", r"12\) x"),
        ("# x", r"\# x"),
        ("- x", r"\- x"),
        ("1.5 x", "1.5 x"),
    ],
)
def test_line_does_not_begin_a_list(text: str, shown: str) -> None:
    """What would be a list or a heading is none, and is read as it was."""
    made = report()
    summary = msgspec.structs.replace(made.sections[0], paragraphs=(text,))
    markdown = render(msgspec.structs.replace(made, sections=(summary,)))

    assert f"\n{shown}\n" in markdown
    assert f"<p>{text}</p>" in PARSER.render(markdown)


def test_names_of_a_chart_differ_where_they_end() -> None:
    """Long names that begin alike are cut in the middle."""
    made = report()
    chart = made.sections[2].charts[0]
    names = [f"ConnectionError: no answer from the warehouse at midnight {n}" for n in (1, 2)]
    series = tuple(Series(name, (1.0,)) for name in names)
    section = Section("s", "S", charts=(msgspec.structs.replace(chart, series=series),))
    markdown = render(msgspec.structs.replace(made, sections=(section,)))

    assert "ConnectionError: no answ…e at midnight 1  " in markdown
    assert "ConnectionError: no answ…e at midnight 2  " in markdown


def test_nobody_is_called_by_a_name() -> None:
    """Neither a chat nor a forge finds a mention or a control sequence in a name."""
    made = render(report(Texts(name="<!channel> @everyone", message="@here")))
    prose = "".join(part for place, part in enumerate(made.split("```")) if place % 2 == 0)

    assert "<!" not in prose
    assert "@" not in prose


def test_thousand_findings_of_one_check_hide_no_other() -> None:
    """The gravest are told, some others are named, and the rare one of another check has a line."""
    made = render(many_findings())

    assert len(made) < 60_000
    assert 10 == made.count("\n#### ")
    assert "\n- 25. medium: flow 0025/nightly has failed" in made
    assert "\n- 1001. low: rare/nightly has failed" in made
    (line,) = (each for each in made.splitlines() if "more of `flow-flaky`" in each)
    assert line.startswith("- and 975 more of `flow-flaky`: flow 0026/nightly, flow 0027/nightly, ")
    assert line.endswith("flow 0065/nightly, …. The JSON has all of them.")


def test_large_report_stays_short() -> None:
    """A thousand deployments are cut to what can be read, and the document says so."""
    made = render(report(deployments=1_000))

    assert len(made) < 40_000
    assert "And 986 more, in the HTML and in the JSON." in made
