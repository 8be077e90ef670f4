"""Two ways of the same work in turns, so that a machine that is busy with more does not decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.machine import Spread, spread
from bench.tables import new_table, spread_text

Figures = Mapping[str, float]
"""What one lap cost, by the name of the figure with its unit."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after; *ratio* is after by before, within each round."""

    before: Spread
    after: Spread
    ratio: Spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a setting changes, as *before* and *after* name its values."""

    setting: str
    before: str
    after: str
    changes: Mapping[str, Change]


def compare(
    setting: str,
    ways: tuple[tuple[str, Callable[[], Figures]], tuple[str, Callable[[], Figures]]],
    rounds: int,
) -> Comparison:
    """Have both *ways* do a lap to warm up, then *rounds* each, every round in the other order.

    Args:
        setting: The name of what differs.
        ways: Its value before and after, each with what does a lap and returns its figures.
        rounds: How many laps of each are counted.
    """
    laps: tuple[list[Figures], list[Figures]] = [], []
    for number in range(-1, rounds):
        for way in (0, 1) if number % 2 else (1, 0):
            figures = ways[way][1]()
            if number >= 0:
                laps[way].append(figures)
    names = [name for name in laps[0][0] if all(name in lap for lap in laps[1])]
    changes = {
        name: _change([lap[name] for lap in laps[0]], [lap[name] for lap in laps[1]])
        for name in names
    }
    return Comparison(setting, ways[0][0], ways[1][0], changes)


def _change(before: Sequence[float], after: Sequence[float]) -> Change:
    ratios = [b / a for a, b in zip(before, after, strict=True) if a > 0]
    return Change(spread(before), spread(after), spread(ratios or [1.0]))


def comparisons_table(title: str, comparisons: Sequence[Comparison]) -> Table | None:
    """Return a row for every figure of every comparison; None where there is nothing."""
    if not comparisons:
        return None
    table = new_table(title, "figure", "before", "after", "after / before")
    for each in comparisons:
        name = f"{each.setting}: {each.before} to {each.after}"
        for figure, change in each.changes.items():
            cells = (spread_text(change.before), spread_text(change.after))
            table.add_row(name, figure, *cells, spread_text(change.ratio))
            name = ""
    return table
