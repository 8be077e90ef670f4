"""The rendered metrics, as `/metrics` serves them."""

from __future__ import annotations

from dataclasses import dataclass


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
