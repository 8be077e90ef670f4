"""Write the rules of objectives: ``python -m slo [--check]``, with deploy/ on the path."""

from __future__ import annotations

import sys
from pathlib import Path

from generated import Rules, write_rules
from slo.objectives import FILE, load
from slo.recording import recording
from slo.rules import alert_files


def main(arguments: list[str] | None = None) -> int:
    """Write the rules, or say which differ; return the exit code of `write_rules`."""
    return write_rules("slo", FILE, _rules, arguments)


def _rules(path: Path) -> Rules:
    objectives = load(path)
    return Rules(recording(objectives), alert_files(objectives))


if __name__ == "__main__":
    sys.exit(main())
