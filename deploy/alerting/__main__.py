"""Write deploy/alertmanager/alertmanager.yml, or with ``--check`` say whether it is out of date."""

from __future__ import annotations

import argparse
import sys

from alerting.document import configuration
from alerting.teams import FILE, load
from generated import as_yaml, put
from sources import BadSource


def main() -> int:
    """Return the exit code: 1 where the file is out of date, 2 where teams.yml cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m alerting", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    arguments = parser.parse_args()
    try:
        teams = load()
    except BadSource as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = as_yaml(configuration(teams), source=FILE)
    return put({FILE.with_name("alertmanager.yml"): text}, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
