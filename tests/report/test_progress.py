"""How far a report is: for people who watch, and for logs."""

from __future__ import annotations

import io
import sys

import pytest

from prefect_exporter.report.progress import Bar, Lines, Silent, progress


def test_lines_come_now_and_then() -> None:
    """However many portions there are, a log gets a line in ten seconds."""
    now, lines = [0.0], list[str]()
    shown = Lines(lines.append, lambda: now[0])
    for second in range(31):
        now[0] = float(second)
        shown.tell("flow runs", 1_000 * second, 100_000)

    assert [
        "reading flow runs: 10,000 of 100,000 rows",
        "reading flow runs: 20,000 of 100,000 rows",
        "reading flow runs: 30,000 of 100,000 rows",
    ] == lines


def test_pause_is_told_at_once() -> None:
    """Whoever waits for Prefect knows that it is Prefect who wants it."""
    lines = list[str]()
    Lines(lines.append, lambda: 0.0).pause(42.0)

    assert ["Prefect wants a pause of 42 s"] == lines


def test_bar_shows_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end moves as more becomes known; it is full at its end alone, and fits the terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    with progress(quiet=False) as shown:
        assert isinstance(shown, Bar)
        shown.tell("flows", 10, 0)
        shown.tell("flow runs", 10, 10)
        shown.tell("flow runs", 500_000, 1_000_000)
        shown.pause(30.0)
        shown.tell("task runs", 1_000_120, 1_000_110)

    parts = [each.removeprefix("\x1b[?25l").rstrip() for each in screen.getvalue().split("\r")]
    first, full, half, pause, last = (each for each in parts if each.startswith("reading"))
    assert "10  flows" in first
    assert " 10/10 " in full
    assert " 500000/1000000 " in half
    assert half.count("#") - half.count("-") in {-1, 0}
    assert "a pause of 30 s" in pause
    assert "1000120/1000120  task runs" in last
    assert ["-" in each for each in (first, full, half, pause, last)] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert screen.getvalue().endswith("\n")
    assert 80 >= max(map(len, (first, full, half, pause)))


@pytest.mark.parametrize(("quiet", "kind"), [(True, Silent), (False, Lines)])
def test_nothing_draws_where_nobody_watches(quiet: bool, kind: type) -> None:  # noqa: FBT001  # a table's column
    """A file or a pipe gets lines, and --quiet nothing."""
    with progress(quiet=quiet) as shown:
        assert isinstance(shown, kind)
