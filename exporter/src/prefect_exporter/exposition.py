"""The rendered metrics, as `/metrics` serves them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest as render_text
from prometheus_client.openmetrics.exposition import generate_latest as render_openmetrics

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


class _One:
    """A registry of one family, as the renderers want it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def render(family: Metric) -> Rendered:
    """Render one family; nothing where it has no sample."""
    if not family.samples:
        return Rendered(b"", b"")
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
