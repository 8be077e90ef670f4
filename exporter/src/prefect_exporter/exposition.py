"""The rendered metrics, as `/metrics` serves them."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain

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
    """One family: the two formats have a head each, and write a sample alike."""

    text_head: bytes
    openmetrics_head: bytes
    lines: Collection[bytes]


class FamilyLines:
    """A counted family as text, of which only the series that changed are rendered again.

    A family has tens of thousands of lines and a poll changes a few of them. Both formats write
    a series alike; they differ in the family's head.
    """

    def __init__(self, family: Counted) -> None:
        self._family = family
        self._head = render(family.fill(()))
        self._lines: dict[Labels, bytes] = {}

    def update(self, tally: Tally) -> Rendered:
        """Return the family as the tally shows it now."""
        for labels in tally.changes(self._family.name):
            value = tally.shown(Series(self._family.name, labels))
            if value is None:
                self._lines.pop(labels, None)
            else:
                self._lines[labels] = self._line(labels, value)
        return replace(self._head, lines=self._lines.values())

    def _line(self, labels: Labels, value: float | Histogram) -> bytes:
        rendered = _openmetrics(self._family.fill([(labels, value)]))
        return rendered.removeprefix(self._head.openmetrics_head)


class _One:
    """A registry of one family, as the renderers want it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def render(family: Metric) -> Rendered:
    """Render one family."""
    bare = Metric(family.name, family.documentation, family.type)
    return Rendered(render_text(_One(bare)), _openmetrics(bare), (_samples(family),))


def _samples(family: Metric) -> bytes:
    """Return the samples as OpenMetrics writes them, which is also how the text format does."""
    bare = Metric(family.name, family.documentation, family.type)
    return _openmetrics(family).removeprefix(_openmetrics(bare))


def _openmetrics(family: Metric) -> bytes:
    rendered: bytes = render_openmetrics(_One(family))  # type: ignore[no-untyped-call]  # theirs
    return rendered.removesuffix(_EOF)


def assemble(version: int, families: Iterable[Rendered]) -> Exposition:
    """Return the publication that the rendered families make; one without samples is left out."""
    shown = [family for family in families if any(family.lines)]
    # Chunks are joined once: with tens of thousands of series every copy is megabytes.
    text = b"".join(chain.from_iterable((each.text_head, *each.lines) for each in shown))
    heads_and_lines = ((each.openmetrics_head, *each.lines) for each in shown)
    openmetrics = b"".join([*chain.from_iterable(heads_and_lines), _EOF])
    return Exposition(
        version,
        text,
        gzip.compress(text, _GZIP_LEVEL, mtime=0),
        openmetrics,
        gzip.compress(openmetrics, _GZIP_LEVEL, mtime=0),
    )
