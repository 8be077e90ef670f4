"""What a report is asked: which workspace, which time, which flows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prefect_exporter.failures.rules import Rules
from prefect_exporter.ui_links import UiLinks


@dataclass(frozen=True, slots=True)
class Period:
    """From *since_us* until before *until_us*; the one before it has the same length."""

    since_us: int
    until_us: int

    @property
    def before(self) -> Period:
        """The period just before."""
        return Period(2 * self.since_us - self.until_us, self.since_us)

    @property
    def weeks(self) -> float:
        """How many weeks it has."""
        return (self.until_us - self.since_us) / (7 * 86_400_000_000)

    def holds(self, at_us: int | None) -> bool:
        """Return whether a time is in it."""
        return at_us is not None and self.since_us <= at_us < self.until_us


@dataclass(frozen=True, slots=True)
class Prices:
    """What an hour of computing costs the user, in any currency; 0 for not told.

    Args:
        cpu_hour: Of one CPU.
        memory_gib_hour: Of one GiB of memory.
        per_pool: Of one run's hour, by work pool; it comes before the other two.
    """

    cpu_hour: float = 0.0
    memory_gib_hour: float = 0.0
    per_pool: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Args:
        target: The value of the ``target`` label.
        api_url: Of Prefect, without credentials.
        links: Addresses of Prefect's pages.
        now_us: When it was asked.
        compare: Whether the period before is read too.
        flows: Names of flows that the report is narrowed to; none for all.
        tags: Likewise for tags, of a run, its deployment or its flow.
        owner_tags: Keys of tags that name an owner, such as ``team`` of ``team:payments``.
        is_cloud: Whether it is a workspace of Prefect Cloud.
        error_rules: A user's own, which are asked before the built-in ones.
    """

    target: str
    api_url: str
    links: UiLinks
    period: Period
    now_us: int
    compare: bool = False
    flows: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    owner_tags: tuple[str, ...] = ("team", "owner")
    prices: Prices = field(default_factory=Prices)
    is_cloud: bool = False
    error_rules: Rules = ()
