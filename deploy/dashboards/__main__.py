"""Write the boards to deploy/grafana/dashboards, or check that they are what they should be."""

from __future__ import annotations

import argparse
import sys

from dashboards import all_boards
from dashboards.written import as_json
from generated import ROOT, put

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"


def main() -> int:
    """Write or check every board, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what differs")
    arguments = parser.parse_args()
    files = {FOLDER / f"{board.uid}.json": as_json(board) for board in all_boards()}
    return put(files, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
