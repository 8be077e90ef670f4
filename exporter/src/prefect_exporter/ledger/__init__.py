"""The one durable state: cursors, counters, histograms and the keys of what was counted."""

from prefect_exporter.ledger.ledger import Ledger
from prefect_exporter.ledger.opening import open_ledger, replace_ledger

__all__ = ["Ledger", "open_ledger", "replace_ledger"]
