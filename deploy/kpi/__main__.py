"""Write the rules of indicators: ``python -m kpi [--check]``, with deploy/ on the path."""

from __future__ import annotations

import sys
from pathlib import Path

from generated import Rules, write_rules
from kpi.model import FILE, load
from kpi.rules import alert_files, recording


def main(arguments: list[str] | None = None) -> int:
    """Write the rules, or say which differ; return the exit code of `write_rules`."""
    return write_rules("kpi", FILE, _rules, arguments)


def _rules(path: Path) -> Rules:
    kpis = load(path)
    return Rules(recording(kpis), alert_files(kpis))


if __name__ == "__main__":
    sys.exit(main())
