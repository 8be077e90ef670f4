"""What one thing that happened to a run does to the metrics. Frozen values; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from prefect_exporter.metrics import Labels
from prefect_exporter.traces import Trace


class Series(NamedTuple):
    """One time series of a counted family; ``labels`` start with the target."""

    family: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One thing that was counted, and its trace.

    Args:
        value: What it did to the series: the seconds observed, or the amount added.
        at_us: When, in microseconds since 1970.
    """

    trace: Trace
    value: float
    at_us: int


@dataclass(frozen=True, slots=True)
class Add:
    """Raise a counter."""

    series: Series
    amount: float = 1.0
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Observe:
    """Put a value, in seconds, into a histogram."""

    series: Series
    value: float
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """Raise a gauge to a value if it is lower."""

    series: Series
    value: float


@dataclass(frozen=True, slots=True)
class Retried:
    """Raise a counter by the starts of this run beyond its first that were not counted yet."""

    series: Series
    run_count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Let a deployment know how this run of it ended.

    Args:
        deployment: The target, the flow and the deployment.
    """

    deployment: Labels
    success: bool


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One end of one run of a deployment, at so many microseconds since 1970."""

    at_us: int
    run_id: UUID
    success: bool


@dataclass(frozen=True, slots=True)
class History:
    """How a deployment's runs ended before they were counted, as Prefect tells it.

    Args:
        deployment: The target, the flow and the deployment.
        ends: The newest success, and the newest failures.
    """

    deployment: Labels
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to one run, to be counted once.

    Args:
        run_id: With *at_us*, the key: a run ends (or starts) at most once in a microsecond.
        at_us: When, in microseconds since 1970.
        effects: What it does to the series.
    """

    run_id: UUID
    at_us: int
    effects: tuple[Add | Observe | Latest | Retried | Ended, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a feed has read.

    Args:
        origin_us: Where it began; nothing older is ever counted.
        high_us: The high-water mark; it never falls.
        newest_us: The newest time that was seen; 0 where none was.
        scanned_us: When, on this machine's clock, the last whole scan began.
    """

    origin_us: int
    high_us: int
    newest_us: int = 0
    scanned_us: int = 0


@dataclass(frozen=True, slots=True)
class Baseline:
    """How many rows the server had in each minute of a range, when we last read it whole.

    Args:
        first: The first minute since 1970.
        stop: The minute after the last.
        rows: Rows by minute; a minute that is not there had none.
    """

    first: int
    stop: int
    rows: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit brings: all of it is kept, or nothing.

    Args:
        target: The Prefect server or workspace.
        feed: Whose keys the facts carry.
        facts: Counted unless their key is known.
        tolerance_us: A key of the same run this close is the same fact, told by another source.
        cursors: New positions by feed.
        baseline: What the audit shall compare with from now on.
        seeds: Series that shall exist, at 0 if they are new.
        histories: Of deployments; they count nothing.
    """

    target: str
    feed: str
    facts: tuple[Fact, ...] = ()
    tolerance_us: int = 0
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    baseline: Baseline | None = None
    seeds: tuple[Series, ...] = ()
    histories: tuple[History, ...] = ()
