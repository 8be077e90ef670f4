"""The rendered metrics, as `/metrics` serves them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest as render_text
from prometheus_client.openmetrics.exposition import generate_latest as render_openmetrics

from prefect_exporter.facts import Series
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.metrics import Counted, Histogram, Labels

_EOF = b"# EOF\n"
# Fast: scrapes are frequent and local, and the names repeat so much that more gains little.
_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Exposition:
    """One publication, rendered once.

    Args:
        version: Grows with each publication; tells which one a scrape has served.
        text: Prometheus text format 0.0.4.
        openmetrics: OpenMetrics 1.0.0.
    """

    version: int
    text: bytes
    text_gzip: bytes
    openmetrics: bytes
    openmetrics_gzip: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """One family, in both formats."""

    text: bytes
    openmetrics: bytes


class FamilyLines:
    """A counted family as text, of which only the series that changed are rendered again.

    A family has tens of thousands of lines and a poll changes a few of them. Both formats write
    a series alike; they differ in the family's head.
    """

    def __init__(self, family: Counted) -> None:
        self._family = family
        self._head = _render(family.fill(()))
        self._lines: dict[Labels, bytes] = {}

    def update(self, tally: Tally) -> Rendered:
        """Return the family as the tally shows it now."""
        for labels in tally.changes(self._family.name):
            value = tally.shown(Series(self._family.name, labels))
            if value is None:
                self._lines.pop(labels, None)
            else:
                self._lines[labels] = self._line(labels, value)
        if not self._lines:
            return Rendered(b"", b"")
        lines = b"".join(self._lines.values())
        return Rendered(self._head.text + lines, self._head.openmetrics + lines)

    def _line(self, labels: Labels, value: float | Histogram) -> bytes:
        rendered = _render(self._family.fill([(labels, value)]))
        return rendered.openmetrics.removeprefix(self._head.openmetrics)


class _One:
    """A registry of one family, as the renderers want it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def render(family: Metric) -> Rendered:
    """Render one family; nothing where it has no sample."""
    return _render(family) if family.samples else Rendered(b"", b"")


def _render(family: Metric) -> Rendered:
    registry = _One(family)
    openmetrics: bytes = render_openmetrics(registry)  # type: ignore[no-untyped-call]  # theirs
    return Rendered(render_text(registry), openmetrics.removesuffix(_EOF))


def assemble(version: int, families: Iterable[Rendered]) -> Exposition:
    """Return the publication that the rendered families make."""
    rendered = list(families)
    text = b"".join(each.text for each in rendered)
    openmetrics = b"".join(each.openmetrics for each in rendered) + _EOF
    return Exposition(
        version,
        text,
        gzip.compress(text, _GZIP_LEVEL, mtime=0),
        openmetrics,
        gzip.compress(openmetrics, _GZIP_LEVEL, mtime=0),
    )
