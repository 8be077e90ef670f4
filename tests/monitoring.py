"""Where tests find Prometheus' and Alertmanager's programs."""

from __future__ import annotations

import shutil
from pathlib import Path

BIN = Path(__file__).parents[1] / ".monitoring" / "bin"


def tool(name: str) -> Path:
    """Return the program `name`: the one that scripts/monitoring-tools got, else the system's.

    Raises:
        FileNotFoundError: There is neither.
    """
    # Debian prefixes all but promtool, amtool and prometheus itself.
    found = shutil.which(name, path=BIN) or shutil.which(name) or shutil.which(f"prometheus-{name}")
    if found is None:
        raise FileNotFoundError(f"{name} is missing: run scripts/monitoring-tools or make setup")
    return Path(found)
