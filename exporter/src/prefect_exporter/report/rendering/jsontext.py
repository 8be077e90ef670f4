"""A report as JSON, by docs/report.schema.json."""

from __future__ import annotations

import msgspec

from prefect_exporter.report.model import Report


def render(report: Report) -> str:
    """Return the report as JSON, indented, with a line break at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
