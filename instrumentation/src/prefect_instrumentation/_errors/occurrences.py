"""How often this process has seen each failure, for as many failures as memory allows."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

MAX_FINGERPRINTS = 1000
"""Most failures that are remembered; beyond, the one that was not seen for longest is forgotten."""


class Occurrences:
    """Counts of fingerprints, bounded; any thread may count."""

    def __init__(self, size: int = MAX_FINGERPRINTS) -> None:
        self._size = size
        self.forget()

    def nth(self, fingerprint: str) -> int:
        """Count a failure, and return which one of its kind it is: 1 for the first."""
        with self._counting:
            count = self._counts.pop(fingerprint, 0) + 1
            self._counts[fingerprint] = count
            if len(self._counts) > self._size:
                self._counts.popitem(last=False)
            return count

    def forget(self) -> None:
        """Begin anew, as a forked process does: its parent may have held the lock."""
        self._counting = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()


_occurrences = Occurrences()
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_occurrences.forget)


def nth(fingerprint: str) -> int:
    """Count a failure of this process, and return which one of its kind it is: 1 for the first.

    Args:
        fingerprint: of the failure, as `_errors.fingerprint` returns it.
    """
    return _occurrences.nth(fingerprint)
