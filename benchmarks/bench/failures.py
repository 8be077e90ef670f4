"""What it costs to group failures, and how true the groups are: failures of known causes."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from rich.table import Table

from bench.failure_causes import CAUSES, Planted, failures
from bench.tables import filled, mib, new_table
from prefect_exporter.failures.grouping import group
from prefect_exporter.failures.model import Failed
from prefect_exporter.failures.reading import MOST_SAMPLES, chosen
from prefect_exporter.failures.signatures import assigned, key
from prefect_exporter.moments import DAY

_SINCE_US = 20_000 * DAY

READ = {"every log read": 0, "a few logs a key": 3, "no log read": -1}
"""How many logs are read of each key: 0 for all, -1 for none."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way of grouping.

    Args:
        way: Which logs were read.
        read: Of how many failures the traceback was read.
        cpu: Seconds from failures to groups, all of it, in one thread.
        peak_memory: Bytes of the process, its failures included; *base_memory* before.
        purity: Share of failures that are in a group whose most frequent cause is theirs.
        inverse_purity: Share of failures that are in the group where most of their cause are.
        stable: Share of failures that have the same id if only half of all are there.
    """

    way: str
    failures: int
    causes: int
    read: int
    groups: int
    cpu: float
    base_memory: int
    peak_memory: int
    purity: float
    inverse_purity: float
    stable: float


def measure_failures(number: int, progress: Callable[[str], None]) -> list[Grouping]:
    """Group so many failures in each way, each in a process of its own."""
    found = []
    for way in READ:
        command = [sys.executable, "-m", "bench.failures", str(number), way]
        done = subprocess.run(command, capture_output=True, check=True)
        found.append(msgspec.json.decode(done.stdout, type=Grouping))
        progress(f"{way}: {found[-1].cpu:.1f} s, {found[-1].groups} groups")
    return found


def failures_table(ways: Sequence[Grouping]) -> Table | None:
    """Return the figures as a table; None where there are none."""
    if not ways:
        return None
    first = ways[0]
    title = f"{first.failures:,} failures of {first.causes} causes"
    table = new_table(title, *(each.way for each in ways))
    rows = {
        "tracebacks read": [f"{each.read:,}" for each in ways],
        "CPU, s": [f"{each.cpu:.1f}" for each in ways],
        "memory before, MiB": [mib(each.base_memory) for each in ways],
        "peak memory, MiB": [mib(each.peak_memory) for each in ways],
        "groups": [f"{each.groups:,}" for each in ways],
        "purity": [f"{each.purity:.4f}" for each in ways],
        "inverse purity": [f"{each.inverse_purity:.4f}" for each in ways],
        "same id in half of them": [f"{each.stable:.4f}" for each in ways],
    }
    return filled(table, rows)


def measure(number: int, way: str) -> Grouping:
    """Group failures in this process."""
    planted = list(failures(number))
    base = _peak_memory()
    began = time.process_time()
    texts = _texts(planted, READ[way])
    pairs = [(each.failed, each.signature) for each in assigned(_failed(planted), texts)]
    groups = group(pairs, since_us=_SINCE_US, until_us=_SINCE_US + DAY, buckets=24)
    took = time.process_time() - began
    peak = _peak_memory()
    ids = {failed.run_id: signature.id for failed, signature in pairs}
    cells = Counter((ids[each.failed.run_id], each.cause.number) for each in planted)
    return Grouping(
        way=way,
        failures=len(planted),
        causes=CAUSES,
        read=len(texts),
        groups=len(groups),
        cpu=took,
        base_memory=base,
        peak_memory=peak,
        purity=_purity(cells, len(planted), of=0),
        inverse_purity=_purity(cells, len(planted), of=1),
        stable=_stable(planted, ids, READ[way]),
    )


def _texts(planted: Sequence[Planted], per_key: int) -> dict[bytes, str]:
    """Return the tracebacks that are read, as ``failures.reading`` chooses them."""
    if per_key < 0:
        return {}
    if not per_key:
        return {each.failed.run_id: each.text for each in planted}
    by_run = {each.failed.run_id: each for each in planted}
    texts = {run: by_run[run].text for run in chosen(_failed(planted), per_key)}
    found = assigned(_failed(planted), texts)
    unsure = {key(each.failed) for each in found if not each.sure}
    left = [each.failed for each in found if key(each.failed) in unsure]
    return texts | {run: by_run[run].text for run in chosen(left, MOST_SAMPLES // 4)}


def _purity(cells: Mapping[tuple[str, int], int], total: int, of: int) -> float:
    best: dict[object, int] = {}
    for names, count in cells.items():
        best[names[of]] = max(best.get(names[of], 0), count)
    return sum(best.values()) / total


def _stable(planted: Sequence[Planted], ids: Mapping[bytes, str], per_key: int) -> float:
    half = random.Random(1).sample(planted, len(planted) // 2)
    found = assigned(_failed(half), _texts(half, per_key))
    return sum(each.signature.id == ids[each.failed.run_id] for each in found) / len(half)


def _failed(planted: Iterable[Planted]) -> list[Failed]:
    return [each.failed for each in planted]


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure(int(sys.argv[1]), sys.argv[2])))
