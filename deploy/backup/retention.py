"""Which snapshots stay: grandfather, father, son."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from backup.settings import Settings

SAFETY_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many snapshots of one series are kept; the newest always is.

    Args:
        last: The newest ones.
        daily: For so many days that have a snapshot, the last of each; so with the others.
    """

    last: int
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    def __post_init__(self) -> None:
        if self.last < 1:
            raise ValueError("keeps no snapshot")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(
            last=settings.keep_last,
            daily=settings.keep_daily,
            weekly=settings.keep_weekly,
            monthly=settings.keep_monthly,
            yearly=settings.keep_yearly,
        )

    def options(self) -> list[str]:
        """Return it as restic's options."""
        return [
            f"--keep-last={self.last}",
            f"--keep-daily={self.daily}",
            f"--keep-weekly={self.weekly}",
            f"--keep-monthly={self.monthly}",
            f"--keep-yearly={self.yearly}",
        ]
