"""What the pipeline example takes for a batch: rows a second, and memory against its budget."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import redis
from rich.table import Table

from bench.machine import Spread, load_average, spread
from bench.tables import filled, new_table, spread_text
from demo.prefect_server import start_prefect_server
from demo.processes import Program, answers_at, free_port
from demo.redis_server import start_redis_server
from demo.sandbox import Sandbox

Say = Callable[[str], None]

BUDGETS_MIB = (64, 128, 256)
WHOLE = "whole"
"""Not by the pipeline: one task reads everything, and writes one file."""

CLIENT = "bench"
FEW = "few"
"""Another client, with as few orders as it takes for everything to have been used once."""

_BENCHMARKS = Path(__file__).resolve().parents[1]
_PATHS = f"{_BENCHMARKS}:{_BENCHMARKS.parent / 'examples'}"
_BAD = 0.01
_FEW_ORDERS = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, in a process of its own.

    Args:
        way: A budget in MiB, or ``whole``.
        rows: How many good ones were written.
        files: In how many files.
        seconds: From the start of the flow to its end, after one of `FEW` in the same process.
        cpu: Seconds of the process, in that time.
        few_memory: The most bytes that were resident before it, with those few orders.
        peak_memory: The most bytes that were resident in the end.
    """

    way: str
    rows: int
    files: int
    seconds: float
    cpu: float
    few_memory: int
    peak_memory: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All batches of one stream, and the load average before and after.

    Args:
        orders: In the stream, one in a hundred of them bad.
        stream: Bytes that Redis takes for them.
    """

    orders: int
    stream: int
    batches: Sequence[Batch]
    load: tuple[float, float]


def measure_etl(orders: int, rounds: int, say: Say) -> Pipeline:
    """Load the same stream in each way, each time in a new process and into a new folder.

    Args:
        orders: How many.
        rounds: How often; each round begins with another way.
        say: Hears what is going on.
    """
    with Sandbox() as sandbox:
        place = _Place(sandbox, orders)
        say(f"Pipeline: filling a stream with {orders:,} orders ...")
        stream = place.fill()
        before, batches = load_average(), []
        for way in _turns(rounds):
            batches.append(done := place.load(way))
            memory = f"{done.peak_memory / 2**20:.0f} MiB at its peak"
            say(f"{way}: {done.rows:,} rows in {done.seconds:.1f} s, {memory}")
        return Pipeline(orders, stream, batches, (before, load_average()))


def etl_table(measured: Pipeline | None) -> Table | None:
    """Return the figures as rows, a column for each way; None without any."""
    if measured is None:
        return None
    size = f"{measured.stream / 2**20:,.0f} MiB in Redis"
    ways = [str(mib) for mib in BUDGETS_MIB]
    table = new_table(
        f"{measured.orders:,} orders, {size}", *(f"{way} MiB" for way in ways), "all at once"
    )
    columns = [[b for b in measured.batches if b.way == way] for way in (*ways, WHOLE)]
    rows = {
        "rows written": [f"{column[0].rows:,}" for column in columns],
        "files": [f"{column[0].files:,}" for column in columns],
        "seconds": [spread_text(_of(column, "seconds"), ".1f") for column in columns],
        "rows a second": [spread_text(_rates(column), ",.0f") for column in columns],
        "CPU, s": [spread_text(_of(column, "cpu"), ".1f") for column in columns],
        "peak RSS of 1,000 orders, MiB": [_memory(column, "few_memory") for column in columns],
        "peak RSS of all of them, MiB": [_memory(column, "peak_memory") for column in columns],
        "load average": [f"{measured.load[0]:.1f}, {measured.load[1]:.1f}", "", "", ""],
    }
    return filled(table, rows)


def _turns(rounds: int) -> list[str]:
    ways = [*map(str, BUDGETS_MIB), WHOLE]
    return [ways[(at + turn) % len(ways)] for turn in range(rounds) for at in range(len(ways))]


def _of(batches: Sequence[Batch], field: str) -> Spread:
    return spread([getattr(batch, field) for batch in batches])


def _memory(batches: Sequence[Batch], field: str) -> str:
    return spread_text(_of(batches, field), ".0f", 2**-20)


def _rates(batches: Sequence[Batch]) -> Spread:
    return spread([batch.rows / batch.seconds for batch in batches])


class _Place:
    """A Prefect server, the pretend rates, and a Redis with orders."""

    def __init__(self, sandbox: Sandbox, orders: int) -> None:
        self._sandbox = sandbox
        self._orders = orders
        self._redis = start_redis_server(sandbox, durable=False)
        self._rates = f"http://127.0.0.1:{(port := free_port())}"
        rates = [sys.executable, "-m", "etl.pretend_rates", "--port", str(port)]
        env = sandbox.environment(PYTHONPATH=_PATHS)
        sandbox.start(
            Program(name="rates", argv=rates, env=env, ready=answers_at(f"{self._rates}/healthz"))
        )
        self._server = start_prefect_server(sandbox)
        self._loaded = 0

    def fill(self) -> int:
        """Add the orders; return the bytes that Redis takes for them."""
        self._seed(FEW, _FEW_ORDERS)
        self._seed(CLIENT, self._orders)
        with redis.Redis.from_url(self._redis.url) as connection:
            return int(connection.memory_usage(f"orders:{CLIENT}") or 0)

    def load(self, way: str) -> Batch:
        """Load all of it once."""
        self._loaded += 1
        name = f"loaded-{self._loaded}"
        folder = self._sandbox.subfolder(name)
        env = self._sandbox.prefect_environment(
            f"home-{name}",
            **self._server.client_environment,
            PYTHONPATH=_PATHS,
            PREFECT_LOGGING_LEVEL="ERROR",
            OTEL_TRACES_EXPORTER="none",
            OTEL_METRICS_EXPORTER="none",
            ETL_REDIS_URL=self._redis.url,
            ETL_RATES_URL=self._rates,
            ETL_DESTINATION=str(folder),
            ETL_MEMORY_MIB=way if way != WHOLE else str(BUDGETS_MIB[-1]),
        )
        argv = [sys.executable, "-m", "bench.etl_batch", way]
        done = subprocess.run(argv, env=env, check=True, capture_output=True)
        shutil.rmtree(folder)
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Batch)

    def _seed(self, client: str, orders: int) -> None:
        argv = [sys.executable, "-m", "etl.seed", "--client", client, "--seed", "1"]
        numbers = ["--orders", str(orders), "--bad", str(_BAD)]
        env = self._sandbox.environment(PYTHONPATH=_PATHS, ETL_REDIS_URL=self._redis.url)
        subprocess.run([*argv, *numbers], env=env, check=True, capture_output=True)
