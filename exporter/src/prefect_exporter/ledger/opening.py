"""Open the ledger at a path: make its folder, and begin anew where the file is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import structlog

from prefect_exporter.errors import LedgerDamaged, LedgerUnreadable
from prefect_exporter.ledger.database import move_aside
from prefect_exporter.ledger.ledger import Ledger
from prefect_exporter.metrics import Counted

_log = structlog.get_logger(__name__)


def open_ledger(
    path: Path, families: Mapping[str, Counted], limits: Mapping[str, int], now: datetime
) -> Ledger:
    """Return the ledger at *path*; a damaged file is moved aside, so that no restart loops on it.

    Raises:
        LedgerError: It is not usable otherwise; the message names the setting.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = (
            f"the folder of the ledger {path} cannot be made: {reason}; "
            "see PREFECT_EXPORTER_STATE_PATH"
        )
        raise LedgerUnreadable(message) from None
    try:
        return Ledger(path, families, limits)
    except LedgerDamaged:
        return replace_ledger(path, families, limits, now)


def replace_ledger(
    path: Path, families: Mapping[str, Counted], limits: Mapping[str, int], now: datetime
) -> Ledger:
    """Return a new ledger at *path*, and keep the damaged one beside it under another name.

    Counters begin again at 0, which Prometheus takes for a restart.
    """
    aside = move_aside(path, now.strftime("%Y%m%dT%H%M%S.%fZ"))
    _log.error("ledger.replaced", path=str(path), moved_to=str(aside))
    ledger = Ledger(path, families, limits)
    ledger.replaced_seconds = now.timestamp()
    return ledger
