"""Numbers and names as people read them."""

from __future__ import annotations

import pytest

from prefect_exporter.report.model import Cell, Kind, Link
from prefect_exporter.report.rendering.words import address, clipped, shown, visible
from report.hostile import ADDRESSES


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        (None, Kind.COUNT, "-"),
        (float("nan"), Kind.SECONDS, "-"),
        (float("inf"), Kind.BYTES, "-"),
        (True, Kind.TEXT, "yes"),
        (False, Kind.COUNT, "no"),
        ("etl", Kind.TEXT, "etl"),
        ("unknown", Kind.COUNT, "unknown"),
        (12_345, Kind.COUNT, "12,345"),
        (1.25, Kind.COUNT, "1.2"),
        (12_345.6, Kind.COUNT, "12,346"),
        (0.0, Kind.SECONDS, "0 s"),
        (0.25, Kind.SECONDS, "250 ms"),
        (1.26, Kind.SECONDS, "1.3 s"),
        (59.4, Kind.SECONDS, "59 s"),
        (61, Kind.SECONDS, "1 min 1 s"),
        (3_661, Kind.SECONDS, "1 h 1 min"),
        (90_000, Kind.SECONDS, "1 d 1 h"),
        (-61, Kind.SECONDS, "-1 min 1 s"),
        (3.25, Kind.HOURS, "3.2 h"),
        (1_234.5, Kind.HOURS, "1,234 h"),
        (0.0, Kind.SHARE, "0 %"),
        (0.0123, Kind.SHARE, "1.2 %"),
        (1, Kind.SHARE, "100 %"),
        (1_023, Kind.BYTES, "1023 B"),
        (1_536, Kind.BYTES, "1.5 KiB"),
        (5 * 1_024**4, Kind.BYTES, "5.0 TiB"),
        (1_234.5, Kind.MONEY, "1,234.50"),
        ("2026-11-21T13:30:00+01:00", Kind.TIME, "2026-11-21 12:30"),
        ("2026-11-21T12:30:00.5Z", Kind.TIME, "2026-11-21 12:30"),
        ("never", Kind.TIME, "never"),
    ],
)
def test_cell_is_shown_in_the_unit_of_its_column(cell: Cell, kind: Kind, expected: str) -> None:
    """A cell is shown by its column's kind, and what is no number as it is."""
    assert expected == shown(cell, kind)


def test_what_nobody_can_see_is_spelled_out() -> None:
    """Neither line breaks, nor controls, nor a change of direction reach a page as such."""
    assert "a\\nb\\x1b[2J\\u202ec" == visible("a\nb\x1b[2J\u202ec")
    assert "a\nb\tc\\x00" == visible("a\nb\tc\x00", lines=True)
    assert "\\ud800" == visible("\ud800")


def test_cut_text_says_so() -> None:
    """A text is at most as long as asked, with a mark where it was cut."""
    assert "abcd…" == clipped("abcdefgh", 5)
    assert "abcde" == clipped("abcde", 5)


@pytest.mark.parametrize("url", ADDRESSES)
def test_only_plain_web_addresses_are_followed(url: str) -> None:
    """What is no http or https address, or could end one, is no link."""
    assert address(Link("x", url)) is None


def test_address_of_prefect_is_followed() -> None:
    """An address as Prefect's pages have it is a link."""
    url = "http://127.0.0.1:4200/work-pools/work-pool/a%20b?x=1&y=2#z"

    assert url == address(Link("x", url))
