"""The seam between one Prefect resource and everything that serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from prefect_exporter.api import Api
from prefect_exporter.directory import Directory
from prefect_exporter.metrics import Counted, Family
from prefect_exporter.settings import Settings
from prefect_exporter.store import Store
from prefect_exporter.terminal_spans import Unsent


class State(Protocol):
    """What every state can tell."""

    @property
    def truncated(self) -> bool:
        """Whether Prefect has more than was read, for a limit of ours."""
        ...

    @property
    def folded(self) -> int:
        """How many things of the poll stand under ``other``, or nowhere, for a limit of ours."""
        ...


StateT = TypeVar("StateT", bound=State)


@dataclass(frozen=True, slots=True)
class Counting:
    """The state of a collector that only counts into the ledger."""

    truncated: bool = False
    folded: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What a collector works with, for one target.

    Args:
        target: The value of the ``target`` label.
        api: The target.
        directory: Its names.
        store: The ledger.
        settings: How the exporter is set.
        now_us: The time, in microseconds since 1970; passed in so that tests may advance it.
        monotonic: Seconds that only rise, for ages: the time of day may be set.
        unsent: The runs that ended and may lack their span; empty unless spans are sent.
    """

    target: str
    api: Api
    directory: Directory
    store: Store
    settings: Settings
    now_us: Callable[[], int]
    monotonic: Callable[[], float]
    unsent: Unsent = field(default_factory=Unsent)


class Collector(Protocol[StateT]):
    """Know one resource: what to ask, what to remember, and what to show.

    ``poll`` may count into the ledger; what it returns is shown until the next good poll.
    """

    @property
    def name(self) -> str:
        """The value of the ``collector`` label."""
        ...

    @property
    def required(self) -> bool:
        """Whether the exporter is ready only when this has polled well."""
        ...

    @property
    def families(self) -> tuple[Family[StateT], ...]:
        """The metrics that are read off the state."""
        ...

    @property
    def counted(self) -> tuple[Counted, ...]:
        """The metrics that it counts into the ledger."""
        ...

    @property
    def interval_seconds(self) -> float:
        """The time from one poll to the next."""
        ...

    async def poll(self, context: Context, previous: StateT | None) -> StateT:
        """Ask what is new, and return the state that follows *previous*."""
        ...
