"""Write what of the chart is made from other files, or with ``--check`` say what is out of date."""

from __future__ import annotations

import argparse
import sys

from chart import readme, schema
from chart.files import FOLDER, copies
from generated import put
from sources import BadSource


def main() -> int:
    """Return the exit code: 1 where a file is out of date, 2 where a source cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    arguments = parser.parse_args()
    try:
        files = copies() | schema.files() | readme.files()
    except BadSource as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return put(files, check=arguments.check, owned=[FOLDER])


if __name__ == "__main__":
    sys.exit(main())
