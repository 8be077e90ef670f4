"""What people see in Prefect: numbers as they are, and names that cannot do anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from etl.artifacts import batch_markdown, escaped, key_of, percent, table
from etl.model import BatchSummary

HOSTILE = [
    "a|b",
    "a\n# b",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil.test/a.png)",
    "http://evil.test",
    "`a`",
    "**a**",
    "a\\|b",
    "x" * 10_000,
    "\x1b[31m",
    "a\u2028b",
]


@given(st.sampled_from(HOSTILE) | st.text(max_size=300))
def test_name_stays_text_in_its_cell(name: str) -> None:
    """No name makes another cell, row, link, picture or tag."""
    tokens = MarkdownIt("commonmark").enable("table").parse(table(("client", "rows"), [(name, 1)]))

    kinds = {each.type for each in tokens}
    assert {"table_open", "inline"} <= kinds
    assert 4 == sum(each.type in {"th_open", "td_open"} for each in tokens)
    within = [child for each in tokens for child in each.children or ()]
    assert {"text", "text_special"} >= {child.type for child in within}


@given(st.text(max_size=300))
def test_escaped_text_is_short_and_on_one_line(text: str) -> None:
    """A name of 10 kB does not fill the page."""
    assert len(escaped(text).splitlines()) <= 1
    assert len(escaped("x" * 10_000)) < 250


@given(st.text(max_size=300))
def test_key_is_one_that_prefect_takes(name: str) -> None:
    """Lower-case letters, digits and dashes."""
    assert re.fullmatch(r"batch-[a-z0-9][a-z0-9-]*", key_of("batch", name))


@pytest.mark.parametrize(
    ("done", "chunks", "expected"),
    [(0, 0, 100.0), (0, 3, 0.0), (1, 3, 33.3), (3, 3, 100.0), (4, 3, 100.0)],
    ids=str,
)
def test_progress_is_from_0_to_100(done: int, chunks: int, expected: float) -> None:
    """Nothing to do is done, and more than was expected is no more than all."""
    assert expected == percent(done, chunks)


def test_batch_is_told_whole() -> None:
    """Every number of the summary is there, and the share that was rejected."""
    summary = BatchSummary(
        "acme", plan=1, chunks=6, rows=20_000, accepted=19_580, rejected=420, lost=0, bytes=477_132
    )

    assert (
        "# Batch of acme\n\n"
        "| client | chunks | rows | accepted | rejected | lost | bytes |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| acme | 6 | 20,000 | 19,580 | 420 | 0 | 477,132 |\n\n"
        "2.1% of the rows were rejected.\n"
    ) == batch_markdown(summary)
