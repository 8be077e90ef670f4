"""Log lines: one event for each record, redacted once, written as the settings say."""

from __future__ import annotations

from prefect_instrumentation._log_settings import LogSettings

_written: LogSettings | None = None


def written() -> LogSettings | None:
    """Return how lines are written in this process, None while none are."""
    return _written


def write_as(settings: LogSettings | None) -> None:
    """Note how lines are written from now on; `installing` alone does."""
    global _written  # noqa: PLW0603 - one process, one logging
    _written = settings
