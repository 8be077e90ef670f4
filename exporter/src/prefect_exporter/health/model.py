"""What the status page shows, as frozen values without HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest
from typing import Any, Generic, TypeVar

SHOWN = 10
"""So many rows of a part; the others are a number."""

NOT_MADE = "not made"

RowT = TypeVar("RowT")


class Known(StrEnum):
    """How far something can be told; of several, the last one here counts."""

    YES = "known"
    UNSUPPORTED = "this server does not tell"
    OFF = "not looked at"
    WAITING = "not known yet"
    STALE = "not known any more"

    @property
    def missing(self) -> bool:
        """Whether it ought to be known, and is not."""
        return self in (Known.WAITING, Known.STALE)


class Tone(StrEnum):
    """How good something is, the worst first; the page has a colour for each."""

    BAD = "bad"
    WARN = "warn"
    IDLE = "idle"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether Prefect is all right.

    Args:
        word: For example ``Fine`` or ``Down``.
        sentence: Why.
    """

    tone: Tone
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Part(Generic[RowT]):
    """One table.

    Args:
        rows: The worst, ``SHOWN`` at most.
        total: How many there are.
        at_least: Whether there are more, for a limit of ours.
        known: How far it can be told, over all targets.
    """

    rows: tuple[RowT, ...] = ()
    total: int = 0
    at_least: bool = False
    known: Known = Known.YES

    @property
    def more(self) -> int:
        """How many are not among the rows."""
        return self.total - len(self.rows)


@dataclass(frozen=True, slots=True)
class Work:
    """Runs of a deployment that do not go on.

    Args:
        kind: ``late``, ``pending``, ``cancelling``, ``silent``, or ``not made``: due by a schedule,
            and Prefect holds no run that is to come.
        number: How many runs; 0 where none is made.
        seconds: For how long the oldest one; None where that is not known.
        cause: Why, in words; "" where that is not known. *mend* is a command that mends it.
        url: The deployment's page in Prefect; None where it has none.
    """

    target: str
    flow: str
    deployment: str
    kind: str
    number: int
    seconds: float | None
    url: str | None
    cause: str = ""
    mend: str = ""

    @property
    def where(self) -> str:
        """The deployment; the flow alone where there is none."""
        return f"{self.flow}/{self.deployment}" if self.deployment else self.flow

    @property
    def what(self) -> str:
        """What is the matter, and why."""
        kind = "no runs are made" if self.kind == NOT_MADE else self.kind
        return f"{kind}: {self.cause}" if self.cause else kind


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool and who serves it.

    Args:
        problem: What keeps it from running anything; "" where nothing does.
        waiting: Late runs in it.
        used: Slots in use; *limit* is None where there is none.
        heard_seconds: How long ago its workers were last heard of; None where none was.
    """

    target: str
    name: str
    type: str
    problem: str
    waiting: int
    online: int
    workers: int
    used: int
    limit: int | None
    heard_seconds: float | None
    url: str


@dataclass(frozen=True, slots=True)
class Failing:
    """A deployment whose last runs failed.

    Args:
        failures: How many in a row; 20 stands for 20 or more.
        failed_seconds: How long ago the last one was; *succeeded_seconds* the last success.
    """

    target: str
    flow: str
    deployment: str
    failures: int
    failed_seconds: float
    succeeded_seconds: float | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """One flow run that failed lately; *message* is redacted, one line, and short."""

    target: str
    run: str
    flow: str
    deployment: str
    state: str
    category: str
    message: str
    seconds: float
    url: str


@dataclass(frozen=True, slots=True)
class Alike:
    """Failures that are alike; *said* is what their messages have in common, redacted."""

    target: str
    id: str
    category: str
    said: str
    number: int
    seconds: float
    flows: int
    where: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Rate:
    """How many runs ended in each of the last minutes, the oldest first."""

    completed: tuple[float, ...] = ()
    failed: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One Prefect server or workspace.

    Args:
        up: Whether it answers; None where that is not known. So is *ready*.
        latency_seconds: How long it took to answer lately, on average.
    """

    name: str
    url: str
    ui: str
    version: str | None
    up: bool | None
    ready: bool | None
    latency_seconds: float | None
    deployments: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that the page says of Prefect."""

    verdict: Verdict
    targets: Part[TargetHealth]
    work: Part[Work]
    pools: Part[Pool]
    failing: Part[Failing]
    failures: Part[Failure]
    alike: Part[Alike]
    rate: Rate


@dataclass(frozen=True, slots=True)
class Found(Generic[RowT]):
    """What one target has of a part: all of its rows, in any order."""

    rows: Sequence[RowT] = ()
    at_least: bool = False
    known: Known = Known.YES


def part_of(
    found: Sequence[Found[RowT]], badness: Callable[[RowT], Any], shown: int = SHOWN
) -> Part[RowT]:
    """Return what all targets have as one table, the rows with the least *badness* first."""
    rows = (row for each in found for row in each.rows)
    return Part(
        rows=tuple(nsmallest(shown, rows, key=badness)),
        total=sum(len(each.rows) for each in found),
        at_least=any(each.at_least for each in found),
        known=least_known(each.known for each in found),
    )


def least_known(several: Iterable[Known]) -> Known:
    """Return what counts where things are known differently far."""
    return max(several, key=list(Known).index, default=Known.YES)
