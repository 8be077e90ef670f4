"""How many rows a chunk may have in a given memory, and how much the process has used."""

from __future__ import annotations

import re
from pathlib import Path

from etl.model import ChunkLimits

MAX_ROWS = 100_000
"""More rows a chunk would not make a batch faster, only longer to do again."""

# Bytes in memory for a byte of a row in Redis, and for a row whatever its size, where a whole
# chunk is in memory, as it may be while Polars writes it. Mostly it is not: all steps work page
# by page, which takes some 60 MiB for Polars and its first page, and 20 MiB for each chunk more.
_PER_BYTE = 4
_PER_ROW = 400


def chunk_limits(memory_mib: int, parallel: int) -> ChunkLimits:
    """Return what one of *parallel* chunks may hold, in a budget of *memory_mib* together.

    Both limits hold at once: rows that are few and large end a chunk by their bytes.
    """
    each = memory_mib * 2**20 // parallel
    rows = max(1, min(MAX_ROWS, each // 2 // _PER_ROW))
    return ChunkLimits(rows, max(1, each // 2 // _PER_BYTE))


def peak_rss() -> int:
    """Return the most memory that this process ever had, in bytes; 0 where that is not told.

    `getrusage` would begin with what the parent had when it started this process.
    """
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
