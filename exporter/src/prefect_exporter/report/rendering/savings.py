"""What a finding's action saves, in words."""

from __future__ import annotations

from prefect_exporter.report.model import Finding, Kind
from prefect_exporter.report.rendering.words import shown


def saves(finding: Finding) -> str:
    """Return the hours and failed runs that an action saves a week; "" where nobody knows."""
    parts = []
    if finding.hours:
        parts.append(shown(finding.hours, Kind.HOURS))
    if finding.failures:
        runs = shown(finding.failures, Kind.COUNT)
        parts.append(f"{runs} failed run{'' if runs == '1' else 's'}")
    return f"{' and '.join(parts)} a week" if parts else ""
