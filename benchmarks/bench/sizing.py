"""What an exporter costs, by arithmetic: ``python -m bench.sizing`` prints docs/scaling.md's table.

Every coefficient is one that the benchmarks measured; docs/scaling.md says by which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from prefect_exporter.collectors.deployments import PAGE as DEPLOYMENT_PAGE
from prefect_exporter.directory import PAGE as ID_PAGE
from prefect_exporter.queries import EVENT_PAGE
from prefect_exporter.settings import Settings

_DEFAULTS = Settings()
_DAY = 86_400.0
_SLOW_POLLS = 60 / _DEFAULTS.slow_interval_seconds
# An outcome that a name has had: two of six, with their duration in both results' 14 lines.
_LINES_PER_DEPLOYMENT = 6 + 1 + 2 + 2 * 14 + 12
_LINES_PER_TASK = 2 + 1 + 2 * 14
_LINES_PER_QUEUE = 2 + 14 + 7
_LINES_PER_POOL, _LINES_PER_WORKER, _LINES_PER_TARGET, _LINES_AT_ALL = 11, 1, 350, 20
_EMPTY_MIB, _MIB_PER_LINE = 73.0, 0.0006
_TEXT_BYTES_PER_LINE, _GZIP_BYTES_PER_LINE = 129, 7.1
_LEDGER_BYTES_PER_END = 50.0
_SERVER_SECONDS_PER_REQUEST, _SERVER_SECONDS_PER_ROW = 0.005, 0.0005
_SERVER_SECONDS_PER_DEPLOYMENT = 0.02
# Of an audit, whose stretches of minutes grow fourfold over the horizon of a day.
_COUNTS_PER_AUDIT = 6
# A scan begins on the minute, half a minute earlier than asked for, on average.
_ROUNDED_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one target has, and how it is polled; every one of *targets* has as much.

    Args:
        flow_runs: That end each day.
        task_runs: Of each flow run.
        tasks: Names of tasks, counted once for each flow that uses them.
        active: Flow runs under way at a time.
        peak: How many times the mean of the day, while it is looked at.
        poll_seconds: ``PREFECT_EXPORTER_POLL_INTERVAL``.
        audit_seconds: ``PREFECT_EXPORTER_AUDIT_INTERVAL``.
        listing_seconds: How often pools, workers, queues, limits, automations and heartbeats are
            asked for: a minute, unless ``PREFECT_EXPORTER_COLLECTORS`` says otherwise.
    """

    name: str
    targets: int = 1
    flow_runs: float
    task_runs: float = 5.0
    deployments: int
    tasks: int
    pools: int
    queues: int
    workers: int
    active: int
    peak: float = 1.0
    poll_seconds: float = _DEFAULTS.poll_interval_seconds
    audit_seconds: float = _DEFAULTS.audit_interval_seconds
    listing_seconds: float = 60.0

    @property
    def per_second(self) -> float:
        """Return how many flow runs end each second."""
        return self.peak * self.flow_runs / _DAY


@dataclass(frozen=True, slots=True)
class Estimate:
    """What that takes, of all targets together.

    Args:
        requests: To Prefect, each minute.
        rows: That Prefect writes into its answers, each minute.
        server_cores: What answering takes of Prefect's server and database.
        series: Lines of ``/metrics``.
        memory_mib: Of the exporter, resident.
        text_bytes: Of ``/metrics`` as text.
        gzip_bytes: As Prometheus asks for it.
        ledger_bytes: The file, once it has stopped growing.
    """

    requests: float
    rows: float
    server_cores: float
    series: float
    memory_mib: float
    text_bytes: float
    gzip_bytes: float
    ledger_bytes: float


def estimate(load: Workload) -> Estimate:
    """Return what a workload takes."""
    answers = [*_answers(load)]
    requests = load.targets * sum(number for number, _ in answers)
    rows = load.targets * sum(each for _, each in answers)
    listed = load.targets * load.deployments * _SLOW_POLLS
    busy = (
        requests * _SERVER_SECONDS_PER_REQUEST
        + rows * _SERVER_SECONDS_PER_ROW
        + listed * _SERVER_SECONDS_PER_DEPLOYMENT
    )
    series = _LINES_AT_ALL + load.targets * _lines(load)
    kept_days = _DEFAULTS.audit_horizon_seconds / _DAY
    ends = load.targets * load.flow_runs * (1 + load.task_runs) * kept_days
    return Estimate(
        requests=requests,
        rows=rows,
        server_cores=busy / 60,
        series=series,
        memory_mib=_EMPTY_MIB + series * _MIB_PER_LINE,
        text_bytes=series * _TEXT_BYTES_PER_LINE,
        gzip_bytes=series * _GZIP_BYTES_PER_LINE,
        ledger_bytes=ends * _LEDGER_BYTES_PER_END,
    )


def _lines(load: Workload) -> int:
    return (
        load.deployments * _LINES_PER_DEPLOYMENT
        + load.tasks * _LINES_PER_TASK
        + load.queues * _LINES_PER_QUEUE
        + load.pools * _LINES_PER_POOL
        + load.workers * _LINES_PER_WORKER
        + _LINES_PER_TARGET
    )


def _answers(load: Workload) -> Iterator[tuple[float, float]]:
    """Yield the requests of a minute and the rows that answer them, for each kind of question."""
    polls, listings = 60 / load.poll_seconds, 60 / load.listing_seconds
    overlap = load.poll_seconds + _DEFAULTS.flow_run_overlap_seconds
    flow_runs = load.per_second * (overlap + _ROUNDED_SECONDS)
    events = min(load.per_second * overlap, EVENT_PAGE * _DEFAULTS.events_pages_per_poll - 1)
    fresh = load.per_second * load.poll_seconds * load.task_runs
    yield _read(polls, flow_runs)  # by their end
    yield _read(polls, flow_runs)  # by their start
    yield _read(polls, events, EVENT_PAGE)
    yield _read(polls, load.active)
    yield _read(polls, flow_runs * load.task_runs)
    # The flows of new task runs: once for each page that has any.
    yield polls * max(fresh / ID_PAGE, min(fresh, 1.0)), polls * fresh / load.task_runs
    # What waits, is late, is to come; five states of task runs; two questions about the server.
    yield polls * (3 + 5 + 2), 0
    yield 2 * 60 / load.audit_seconds * _COUNTS_PER_AUDIT, 0
    # Their time is counted by the deployment; and a count of task runs without their flow run.
    yield _SLOW_POLLS * (load.deployments // DEPLOYMENT_PAGE + 1 + 1), 0
    yield _read(listings, load.queues)
    yield listings * load.pools, listings * load.workers
    # Pools, twice; due runs; limits, twice; automations and their events; events; long runs.
    yield listings * 9, listings * 2 * load.pools


def _read(times: float, rows: float, page: int = _DEFAULTS.page_size) -> tuple[float, float]:
    """Return the requests and rows of reading so many rows so often: a short page ends them."""
    return times * (rows // page + 1), times * rows


_SMALL = Workload(
    name="small: 50 deployments, 1,000 flow runs a day",
    flow_runs=1000,
    deployments=50,
    tasks=50,
    pools=2,
    queues=3,
    workers=3,
    active=5,
)
_MEDIUM = Workload(
    name="medium: 1,000 deployments, a million a day",
    flow_runs=1_000_000,
    deployments=1000,
    tasks=300,
    pools=20,
    queues=50,
    workers=40,
    active=500,
)
_MANY = replace(_SMALL, name="many: 20 Cloud workspaces, each like the small one", targets=20)
EXAMPLES = (
    _SMALL,
    _MEDIUM,
    replace(_MEDIUM, name="medium, in an hour of four times the mean", peak=4, active=2000),
    replace(_MEDIUM, name="medium, polled each minute", poll_seconds=60),
    _MANY,
    replace(
        _MANY,
        name="many, slowed to fit 400 requests a minute",
        poll_seconds=120,
        audit_seconds=600,
        listing_seconds=300,
    ),
)

_FLEET = Workload(
    name="fleet: 50 workspaces, 10,000 deployments, 10 million a day",
    targets=50,
    flow_runs=200_000,
    deployments=200,
    tasks=300,
    pools=20,
    queues=50,
    workers=40,
    active=95,
)
FLEETS = (
    _FLEET,
    replace(_FLEET, name="fleet, polled each 30 s", poll_seconds=30),
    replace(_FLEET, name="fleet, polled each minute", poll_seconds=60),
    replace(
        _FLEET,
        name="fleet, each 2 minutes, the rest each 5",
        poll_seconds=120,
        audit_seconds=600,
        listing_seconds=300,
    ),
)


_COLUMNS = (
    "workload",
    "requests/min",
    "rows/min",
    "Prefect's cores",
    "series",
    "RSS, MiB",
    "/metrics, kB",
    "zipped, kB",
    "ledger, MB",
)


def table(loads: Sequence[Workload] = EXAMPLES) -> str:
    """Return the estimates as a Markdown table, a line for each workload."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"|---|{'--:|' * (len(_COLUMNS) - 1)}",
    ]
    for load in loads:
        each = estimate(load)
        lines.append(
            f"| {load.name} | {each.requests:,.0f} | {each.rows:,.0f} | {each.server_cores:.2f} "
            f"| {each.series:,.0f} | {each.memory_mib:,.0f} | {each.text_bytes / 1e3:,.0f} "
            f"| {each.gzip_bytes / 1e3:,.0f} | {each.ledger_bytes / 1e6:,.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(), table(FLEETS), sep="\n\n")
