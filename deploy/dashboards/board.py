"""A board: what all share, and where its panels stand."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from dashboards import links, marks, variables
from dashboards.panels import color_lines

_WIDTH = 24

Placed: TypeAlias = model.Panel | model.RowPanel


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below one heading, from left to right, wrapped where they are 24 wide.

    Args:
        title: The heading; without, there is none.
        panels: Each with its own width and height.
        folded: Whether only the heading, which it then has, is shown until somebody clicks on it.
    """

    title: str
    panels: Sequence[Builder[model.Panel]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A board before it is put into Grafana's words.

    Args:
        uid: Links know it by this; it never changes.
        title: The board's.
        description: Which question it answers.
        rows: Its panels.
        chosen: Variables after data source, target and team.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    chosen: Sequence[Builder[model.VariableModel]] = field(default=())

    def build(self) -> model.Dashboard:
        """Return the board as Grafana has it, panels numbered from 1."""
        first = [variables.datasource(), variables.target(), variables.team()]
        built = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([links.TAG])
            .readonly()
            .refresh("30s")
            .time("now-6h", "now")
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .variables([*first, *self.chosen])
            .link(links.boards())
            .build()
        )
        built.annotations = model.AnnotationContainer(marks.marks())
        built.panels = _numbered(_placed(self.rows))
        return built


def _placed(rows: Iterable[Row]) -> list[Placed]:
    """Return headings and panels in the order in which they are read, each with its place."""
    placed: list[Placed] = []
    top = 0
    for row in rows:
        panels = [color_lines(panel.build()) for panel in row.panels]
        if row.title:
            heading = model.RowPanel(title=row.title, collapsed=row.folded, panels=[])
            heading.grid_pos = model.GridPos(h=1, w=_WIDTH, x=0, y=top)
            placed.append(heading)
            top += 1
        bottom = _flow(panels, top)
        if row.folded:
            heading.panels = panels
        else:
            placed += panels
            top = bottom
    return placed


def _flow(panels: Sequence[model.Panel], top: int) -> int:
    """Give panels their places from *top* on, and return where the next row begins."""
    left = bottom = 0
    bottom = top
    for panel in panels:
        place = panel.grid_pos or model.GridPos()
        if left + place.w > _WIDTH:
            left, top = 0, bottom
        panel.grid_pos = model.GridPos(h=place.h, w=place.w, x=left, y=top)
        left += place.w
        bottom = max(bottom, top + place.h)
    return bottom


def _numbered(placed: list[Placed]) -> list[Placed]:
    """Number panels, folded ones too, and name the queries of each A, B, C and so on."""
    for number, panel in enumerate(_every(placed), start=1):
        panel.id_val = number
        targets = panel.targets or [] if isinstance(panel, model.Panel) else []
        for letter, query in zip(string.ascii_uppercase, targets, strict=False):
            query.ref_id = letter  # type: ignore[attr-defined]  # the SDK's queries have no common base that says so
    return placed


def _every(placed: Iterable[Placed]) -> Iterator[Placed]:
    for panel in placed:
        yield panel
        if isinstance(panel, model.RowPanel):
            yield from panel.panels
