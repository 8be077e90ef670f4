"""Clean up after a sandbox, also when its owner was killed.

Runs as a small process of its own, with a pipe from the owner as its input. The pipe closes when
the owner closes it or dies, in whatever way; then everything that still carries the sandbox's mark
in its environment is killed and the folder is removed. Environments are inherited by children that
open sessions of their own (Prefect's worker makes such), so the mark finds them where process
groups do not.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "DEMO_SANDBOX"
"""The environment variable that every process of a sandbox carries."""

_SWEEP_SECONDS = 10.0


def hire(mark: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start the keeper of *folder*; close its ``stdin`` to have it clean up and end."""
    return subprocess.Popen(
        [sys.executable, __file__, mark, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield the processes whose environment carries *mark*."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                yield process
        except psutil.Error:
            continue


def sweep(mark: str) -> None:
    """Kill all marked processes, again until none is left: they may fork meanwhile."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while (found := list(marked(mark))) and time.monotonic() < deadline:
        for process in found:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(found, timeout=1)


def main() -> None:
    """Wait for the end of the owner, then clean up."""
    mark, folder = sys.argv[1:]
    # A group-wide signal ends the owner, not the one who cleans up after it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sweep(mark)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
