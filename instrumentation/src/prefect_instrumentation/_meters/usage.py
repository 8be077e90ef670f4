"""What the operating system says of this process: CPU time and memory."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import resource


class ThreadClock:
    """CPU seconds of whichever thread a run's code is on."""

    __slots__ = ("_since", "_thread", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = 0
        self._since = 0.0

    def start(self) -> None:
        """Count from now on, on this thread."""
        self._thread, self._since = threading.get_ident(), time.thread_time()

    def stop(self) -> None:
        """Count no longer; a thread that `start` has not seen has no time to add."""
        if self._thread == threading.get_ident():
            self.seconds += time.thread_time() - self._since
        self._thread = 0


def peak_memory() -> int | None:
    """Return the most resident memory that this process has ever had, in bytes, if it is known."""
    if sys.platform == "linux":
        # A new process inherits `ru_maxrss` of the one that started it, be it a large one:
        # https://man7.org/linux/man-pages/man2/getrusage.2.html
        with suppress(OSError, ValueError, IndexError):
            status = Path("/proc/self/status").read_bytes()
            return int(status.partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    if sys.platform == "win32":
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
