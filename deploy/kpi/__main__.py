"""Write the rules of indicators: ``python -m kpi [--check]``, with deploy/ on the path."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from generated import ROOT, as_yaml, put
from kpi.model import FILE, Kpi, load
from kpi.rules import alert_files, recording
from sources import BadSource

_MEND = "make generate"
_RULES = ROOT / "deploy" / "prometheus" / "rules"


def main(arguments: list[str] | None = None) -> int:
    """Write the rules, or say which differ.

    Returns:
        The exit code: 0, 1 where some differ and were only to be checked, 2 for a bad file.
    """
    parser = argparse.ArgumentParser(prog="python -m kpi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what differs")
    parser.add_argument("--kpis", type=Path, default=FILE, help="read another file")
    parser.add_argument("--rules", type=Path, default=_RULES, help="write to another folder")
    given = parser.parse_args(arguments)
    try:
        kpis = load(given.kpis)
    except BadSource as error:
        sys.stderr.write(f"{error}\n")
        return 2
    files = _files(kpis, given.rules)
    return put(files, check=given.check, mend=_MEND, owned=[given.rules / "kpi"])


def _files(kpis: Sequence[Kpi], rules: Path) -> dict[Path, str]:
    files = {rules / "recording" / "kpi.yml": recording(kpis)}
    for name, document in alert_files(kpis).items():
        files[rules / "kpi" / f"{name}.yml"] = document
    source = str(FILE.relative_to(ROOT))
    return {path: as_yaml(each, source=source, mend=_MEND) for path, each in files.items()}


if __name__ == "__main__":
    sys.exit(main())
