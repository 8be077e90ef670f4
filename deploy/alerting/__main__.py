"""Write Alertmanager's configuration, or with ``--check`` say whether it is out of date.

alertmanager.yml is the Compose stack's; alertmanager-operator.yaml and alertmanagerconfig.yaml are
for Alertmanagers on Kubernetes, as the chart takes them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alerting.document import configuration
from alerting.operator import operator_configuration
from alerting.resource import resource
from alerting.teams import FILE, load
from generated import as_yaml, put
from sources import BadSource


def main() -> int:
    """Return the exit code: 1 where the file is out of date, 2 where teams.yml cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m alerting", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parser.add_argument("--teams", type=Path, default=FILE, help="the file that people write")
    parser.add_argument("--into", type=Path, default=FILE.parent, help="the folder to write to")
    given = parser.parse_args()
    try:
        teams = load(given.teams)
    except BadSource as error:
        sys.stderr.write(f"{error}\n")
        return 2
    documents = {
        "alertmanager.yml": configuration(teams),
        "alertmanager-operator.yaml": operator_configuration(teams),
        "alertmanagerconfig.yaml": resource(teams),
    }
    texts = {
        given.into / name: as_yaml(document, source=given.teams)
        for name, document in documents.items()
    }
    return put(texts, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
