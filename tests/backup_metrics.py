"""The metrics that the backup tells of itself."""

from __future__ import annotations

from backup.metrics import BackupMetrics
from backup.settings import Settings


def backup_metrics() -> set[str]:
    """Return their names, as Prometheus has them."""
    told = BackupMetrics(Settings, dict).collect()
    return {f"{each.name}_total" if each.type == "counter" else each.name for each in told}
