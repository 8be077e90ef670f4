"""Numbers by the minute as the points of a small line, and as words for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240, 40
_LATELY = 5


@dataclass(frozen=True, slots=True)
class Chart:
    """A line of ``WIDTH`` by ``HEIGHT``.

    Args:
        name: One word, for a class of CSS.
        points: As SVG's ``polyline`` takes them; "" where there is nothing to draw yet.
        lately: Of the last minutes, how many on average; with a unit.
        words: What the line shows, in a sentence.
    """

    name: str
    title: str
    points: str
    lately: str
    words: str


def chart(name: str, title: str, minutes: Sequence[float]) -> Chart:
    """Return the chart of numbers by the minute, of which the last one is not over yet."""
    whole = minutes[:-1]
    if not whole:
        return Chart(name, title, "", "-", f"{title} per minute: not known yet.")
    lately = sum(whole[-_LATELY:]) / len(whole[-_LATELY:])
    words = (
        f"{title} per minute over the last {len(whole)} min: {_number(lately)} lately, "
        f"{_number(max(whole))} at most, {_number(sum(whole))} in all."
    )
    return Chart(name, title, _points(whole), f"{_number(lately)} / min", words)


def _points(values: Sequence[float]) -> str:
    """Return the points, the newest at the right; a flat line lies at the bottom."""
    step = WIDTH / max(len(values) - 1, 1)
    # A line at the very edge would lose half of its width.
    height, highest = HEIGHT - 4, max(values) or 1.0
    return " ".join(
        f"{place * step:.1f},{HEIGHT - 2 - value / highest * height:.1f}"
        for place, value in enumerate(values)
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 - digits that matter
