"""The process that makes a report for a running exporter: polite to it, and gone when it is.

python -m prefect_exporter.report_child <process id of the exporter> [options of `report`]
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from prefect_exporter.__main__ import main

NICENESS = 10
# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PR_SET_PDEATHSIG = 1


def make_report(parent: int, options: list[str]) -> None:
    """Run ``prefect-exporter report`` with a low priority, for as long as *parent* lives."""
    os.nice(NICENESS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before this process could ask to be told.
        sys.exit(1)
    sys.argv = ["prefect-exporter", "report", *options]
    main()


if __name__ == "__main__":
    make_report(int(sys.argv[1]), sys.argv[2:])
