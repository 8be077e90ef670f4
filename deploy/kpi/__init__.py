"""A user's own indicators: read from ``kpis.yml``, written as rules; the board shows them."""

from __future__ import annotations

from kpi.model import Kind, Kpi, load

__all__ = ["Kind", "Kpi", "load"]
