"""The rendered metrics, as `/metrics` serves them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client.core import Exemplar as RenderedExemplar
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest as render_text
from prometheus_client.openmetrics.exposition import generate_latest as render_openmetrics

from prefect_exporter.facts import Exemplar, Series
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.metrics import Counted, Family, Labels
from prefect_exporter.moments import seconds

_EOF = b"# EOF\n"
# Fast: scrapes are frequent and local, and the names repeat so much that more gains little.
_GZIP_LEVEL = 1
# For zlib, a window of 32 KiB in the gzip format, and without one:
# https://zlib.net/manual.html#Advanced
_GZIP, _RAW = 16 + zlib.MAX_WBITS, -zlib.MAX_WBITS
# What a gzip file begins with, and the block that ends its data: RFC 1952 and 1951.
_GZIP_HEAD, _LAST_BLOCK = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff", b"\x03\x00"
# To unzip so much takes a millisecond or two, and a client that reads slowly holds no more.
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """One format of a publication, kept zipped: plain, it is twenty times as large.

    Args:
        zipped: In the gzip format.
        size: The bytes of the plain page.
    """

    zipped: bytes
    size: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the plain page, in pieces of a bounded size."""
        unzipping = zlib.decompressobj(_GZIP)
        rest = self.zipped
        while piece := unzipping.decompress(rest, _PIECE_BYTES):
            yield piece
            rest = unzipping.unconsumed_tail


@dataclass(frozen=True, slots=True)
class Exposition:
    """One publication, rendered once.

    Args:
        version: Grows with each publication; tells which one a scrape has served.
        text: Prometheus text format 0.0.4.
        openmetrics: OpenMetrics 1.0.0.
    """

    version: int
    text: Page
    openmetrics: Page


@dataclass(frozen=True, slots=True)
class Lines:
    """Samples of one family, zipped once for every page and publication that they are in."""

    plain: Collection[bytes]
    zipped: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """One family: the two formats have a head each, and write a sample without exemplar alike."""

    text_head: bytes
    openmetrics_head: bytes
    text: Lines
    openmetrics: Lines


class FamilyLines:
    """A counted family as text, of which only the series that changed are rendered again.

    A family has tens of thousands of lines and a poll changes a few of them. Both formats write
    a series alike, unless it has exemplars: then it stands here twice.
    """

    def __init__(self, family: Counted) -> None:
        self._family = family
        self._rendered = render(family.fill(()))
        self._lines: dict[Labels, bytes] = {}
        self._exemplified: dict[Labels, bytes] = {}

    def update(self, tally: Tally) -> Rendered:
        """Return the family as the tally shows it now."""
        if changes := tally.changes(self._family.name):
            for labels in changes:
                self._render(Series(self._family.name, labels), tally)
            lines = exemplified = _zipped(self._lines.values())
            if self._exemplified:
                exemplified = _zipped((self._lines | self._exemplified).values())
            self._rendered = replace(self._rendered, text=lines, openmetrics=exemplified)
        return self._rendered

    def _render(self, series: Series, tally: Tally) -> None:
        labels, value = series.labels, tally.shown(series)
        self._exemplified.pop(labels, None)
        if value is None:
            self._lines.pop(labels, None)
            return
        metric = self._family.fill([(labels, value)])
        self._lines[labels] = self._samples(metric)
        if exemplars := tally.exemplars(series):
            _exemplify(metric, exemplars)
            self._exemplified[labels] = self._samples(metric)

    def _samples(self, metric: Metric) -> bytes:
        return _openmetrics(metric).removeprefix(self._rendered.openmetrics_head)


class StateFamily:
    """A family that is read off states, again where one of them is another object.

    Most of its samples are then as they were, and only the others are rendered again.
    """

    def __init__(self, family: Family[Any]) -> None:
        self.kind = family.kind
        self._family = family
        self._states: Sequence[tuple[str, Any]] = ()
        self._rendered = render(family.fill(()))
        self._lines: dict[tuple[Labels, float], bytes] = {}

    def update(self, states: Sequence[tuple[str, Any]]) -> Rendered:
        """Return the family with what each (target, state) shows now."""
        if not _same(self._states, states):
            self._render(list(self._family.samples(states)))
            self._states = states
        return self._rendered

    def _render(self, samples: Sequence[tuple[Labels, float]]) -> None:
        changed = [each for each in samples if each not in self._lines]
        page = _openmetrics(self._family.of(changed))
        # A line each: a name with a newline has it escaped.
        lines = page.removeprefix(self._rendered.openmetrics_head).split(b"\n")
        new = {each: line + b"\n" for each, line in zip(changed, lines, strict=False)}
        before = self._lines
        self._lines = {each: new[each] if each in new else before[each] for each in samples}
        shown = _zipped(self._lines.values())
        self._rendered = replace(self._rendered, text=shown, openmetrics=shown)


def _same(before: Sequence[tuple[str, Any]], now: Sequence[tuple[str, Any]]) -> bool:
    """Return whether the states are the same objects: to compare what they hold is no cheaper."""
    return len(before) == len(now) and all(
        was == target and old is state
        for (was, old), (target, state) in zip(before, now, strict=True)
    )


def _exemplify(metric: Metric, exemplars: Mapping[int, Exemplar]) -> None:
    """Put exemplars on a family of one series: a histogram's buckets are its first samples."""
    for place, exemplar in exemplars.items():
        rendered = RenderedExemplar(
            exemplar.trace._asdict(), exemplar.value, seconds(exemplar.at_us)
        )
        metric.samples[place] = metric.samples[place]._replace(exemplar=rendered)


class _One:
    """A registry of one family, as the renderers want it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def render(family: Metric) -> Rendered:
    """Render one family without exemplars."""
    bare = Metric(family.name, family.documentation, family.type)
    # As OpenMetrics writes the samples, which is also how the text format does.
    lines = _zipped((_openmetrics(family).removeprefix(_openmetrics(bare)),))
    return Rendered(render_text(_One(bare)), _openmetrics(bare), lines, lines)


def _openmetrics(family: Metric) -> bytes:
    rendered: bytes = render_openmetrics(_One(family))  # type: ignore[no-untyped-call]  # theirs
    return rendered.removesuffix(_EOF)


def _zipped(lines: Collection[bytes]) -> Lines:
    return Lines(lines, _deflate(b"".join(lines)))


def _deflate(plain: bytes) -> bytes:
    """Return a piece of a gzip file's data, which any other may follow."""
    zipper = zlib.compressobj(_GZIP_LEVEL, wbits=_RAW)
    return zipper.compress(plain) + zipper.flush(zlib.Z_FULL_FLUSH)


def assemble(version: int, families: Iterable[Rendered]) -> Exposition:
    """Return the publication that the rendered families make; one without samples is left out."""
    text, openmetrics = _Zipping(), _Zipping()
    for family in families:
        if any(family.text.plain):
            text.add(family.text_head, family.text)
            openmetrics.add(family.openmetrics_head, family.openmetrics)
    openmetrics.add(_EOF)
    return Exposition(version, text.page(), openmetrics.page())


class _Zipping:
    """A page, put together of zipped pieces: most families are as in the publication before."""

    def __init__(self) -> None:
        self._zipped = [_GZIP_HEAD]
        self._checksum = self._size = 0

    def add(self, head: bytes, lines: Lines = Lines((), b"")) -> None:
        plain = b"".join((head, *lines.plain))
        self._checksum = zlib.crc32(plain, self._checksum)
        self._size += len(plain)
        self._zipped += _deflate(head), lines.zipped

    def page(self) -> Page:
        end = struct.pack("<LL", self._checksum, self._size % 2**32)
        return Page(b"".join((*self._zipped, _LAST_BLOCK, end)), self._size)
