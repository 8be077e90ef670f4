"""Write deploy/alertmanager/alertmanager.yml, or with ``--check`` say whether it is out of date."""

from __future__ import annotations

import argparse
import sys

import generated
from alerting.document import configuration
from alerting.teams import BadTeams, read

_FOLDER = generated.ROOT / "deploy" / "alertmanager"
_MEND = "make generate"


def main() -> int:
    """Return the exit code: 1 where the file is out of date, 2 where teams.yml cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m alerting", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    arguments = parser.parse_args()
    try:
        teams = read(_FOLDER / "teams.yml")
    except BadTeams as bad:
        sys.stderr.write(f"{bad}\n")
        return 2
    text = generated.as_yaml(
        configuration(teams), source="deploy/alertmanager/teams.yml", mend=_MEND
    )
    return generated.put({_FOLDER / "alertmanager.yml": text}, check=arguments.check, mend=_MEND)


if __name__ == "__main__":
    sys.exit(main())
