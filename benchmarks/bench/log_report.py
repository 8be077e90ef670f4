"""The figures of `bench.log_records` as tables."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from rich.table import Table

from bench.log_records import WAYS, Figure, Logging
from bench.machine import spread
from bench.tables import filled, new_table, spread_text


def logging_tables(logging: Logging | None) -> Sequence[Table]:
    """Return what a log record costs in each way, and what an active run does."""
    if logging is None:
        return ()
    lines = new_table(f"{logging.records:,} records, rounds: {len(logging.rounds)}", *_COLUMNS)
    for way in WAYS:
        memory = spread([each[way].peak_memory for each in logging.rounds])
        lines.add_row(
            way,
            _us(logging, way, _THREAD_CPU),
            *(spread_text(logging.ratio(way, other, _THREAD_CPU)) for other in _OTHERS),
            _us(logging, way, attrgetter("process_cpu")),
            spread_text(memory, ".1f", 2**-20),
        )
    arrived, due = logging.arrived
    lines.add_row(f"arrived by OTLP: {arrived:,} of {due:,}")
    return lines, _runs(logging)


def _runs(logging: Logging) -> Table:
    table = new_table(f"{logging.runs:,} runs at once", *logging.memory)
    before, during = (
        [
            spread_text(spread([figure(each) for each in memory]), ".1f", 2**-20)
            for memory in logging.memory.values()
        ]
        for figure in (attrgetter("before"), attrgetter("during"))
    )
    rows = {
        "RSS before, MiB": before,
        "RSS during, MiB": during,
        "kB a run": [spread_text(logging.a_run(way), ".1f", 1e-3) for way in logging.memory],
    }
    return filled(table, rows)


def _us(logging: Logging, way: str, figure: Figure) -> str:
    return spread_text(logging.a_record(way, figure), ".1f", 1e6)


_OTHERS = ("prefect", "structlog")
_COLUMNS = (
    "thread CPU, us a record",
    *(f"times {other}" for other in _OTHERS),
    "process CPU, us a record",
    "peak RSS, MiB",
)
_THREAD_CPU: Figure = attrgetter("thread_cpu")
