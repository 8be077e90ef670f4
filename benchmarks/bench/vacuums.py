"""How fast Prefect's own vacuum deletes, and how fast PostgreSQL's clears up behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bench.alternating import Comparison, Figures, compare, comparisons_table
from bench.multiplied import TABLES
from bench.programs import answer
from bench.tuning_place import DATABASE, DAYS, Place, Say

_SLICE_DAYS = 0.1
_COST_LIMITS = "200", "2000"
_BATCHES = "200", "2000"
_EVENTS = ("events", "event_resources")


@dataclass(frozen=True, slots=True)
class Vacuums:
    """Rows a second by the size of a batch, and seconds of VACUUM by its cost limit."""

    batches: Comparison
    clearing: Comparison


def measure_vacuums(there: Place, rounds: int, say: Say) -> Vacuums:
    """Delete the oldest tenth of a day, again and again, and clear up after each."""
    say(f"Vacuum: {rounds} rounds of two, twice ...")
    ages = (DAYS - number * _SLICE_DAYS for number in range(1, int(DAYS / _SLICE_DAYS)))

    def deleting(batch: str) -> Callable[[], Figures]:
        return lambda: _delete(there, next(ages), batch)

    def clearing(limit: str) -> Callable[[], Figures]:
        return lambda: _clear(there, ages, limit)

    small, large = _BATCHES
    slow, fast = _COST_LIMITS
    return Vacuums(
        compare("batch_size", ((small, deleting(small)), (large, deleting(large))), rounds),
        compare(
            "autovacuum_vacuum_cost_limit", ((slow, clearing(slow)), (fast, clearing(fast))), rounds
        ),
    )


def vacuums_table(vacuums: Vacuums | None) -> Table | None:
    """Return the table; None where nothing was measured."""
    if vacuums is None:
        return None
    return comparisons_table("Deleting, clearing up", [vacuums.batches, vacuums.clearing])


def _delete(there: Place, days: float, batch: str) -> Figures:
    """Have Prefect delete what is older, and return rows a second with all that belongs to them."""
    before = _rows(there)
    seconds = answer(
        there.sandbox,
        str(Path(__file__).with_name("vacuum_once.py")),
        PREFECT_API_DATABASE_CONNECTION_URL=there.postgres.prefect_url(DATABASE),
        PREFECT_SERVER_EVENTS_RETENTION_PERIOD=f"PT{days * 24:.3f}H",
        PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD=str(days * 86400),
        PREFECT_SERVER_SERVICES_DB_VACUUM_BATCH_SIZE=batch,
    )
    gone = {table: before[table] - rows for table, rows in _rows(there).items()}
    return {
        "flow runs/s": gone["flow_run"] / seconds["flow_runs"],
        "events and their resources/s": sum(gone[t] for t in _EVENTS) / seconds["events"],
    }


def _clear(there: Place, ages: Iterator[float], limit: str) -> Figures:
    _delete(there, next(ages), _BATCHES[1])
    began = time.monotonic()
    there.execute(
        # As autovacuum sleeps: 2 ms each time that so much work is done.
        "set vacuum_cost_delay = 2",
        f"set vacuum_cost_limit = {limit}",
        *(f"vacuum {table}" for table in TABLES),
    )
    return {"VACUUM, s": time.monotonic() - began}


def _rows(there: Place) -> dict[str, float]:
    return {table: there.value(f"select count(*) from {table}") for table in TABLES}  # noqa: S608  # our own names
