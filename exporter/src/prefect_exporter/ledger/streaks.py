"""How the runs of each deployment ended last: when it succeeded and failed, how often in a row.

Why the order of what is learnt does not matter: a deployment's streak is a function of a set of
ends, and both an end that is counted and the history that Prefect tells are united with that set.
What is dropped from it can never be needed again, since the newest success and the newest ends
only ever get newer. So a history that is overtaken by ends, ends that come in any order, ends that
the history holds too, and a restart between any two of them all lead to the same streak.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from prefect_exporter.facts import End, History
from prefect_exporter.metrics import Labels

# A streak of so many failures stands for this many or more.
LONGEST = 20
# A run's row and its event may tell the time of one end a rounding apart.
_SAME_US = 1_000


@dataclass(frozen=True, slots=True)
class Streak:
    """What is known of how a deployment's runs ended.

    Args:
        ends: The newest success, the newest failure, and the failures since that success.
        whole: Whether Prefect has told what came before the ends that were counted.
    """

    ends: tuple[End, ...] = ()
    whole: bool = False

    @property
    def succeeded_us(self) -> int | None:
        """When a run last succeeded; None where no success is known."""
        return max((end.at_us for end in self.ends if end.success), default=None)

    @property
    def failed_us(self) -> int | None:
        """When a run last failed; None where no failure is known."""
        return max((end.at_us for end in self.ends if not end.success), default=None)

    @property
    def failures(self) -> int | None:
        """How many runs failed since one succeeded; None while that is not known."""
        since = self.succeeded_us
        if since is None and not self.whole:
            return None
        return sum(not end.success and end.at_us > (since or 0) for end in self.ends)

    def plus(self, ends: Iterable[End], *, whole: bool = False) -> Streak:
        """Return what is known with some ends more, in whichever order they come."""
        known = list(self.ends)
        known += [end for end in ends if not any(_same(end, other) for other in known)]
        success = max((end for end in known if end.success), default=None)
        failures = sorted(end for end in known if not end.success)
        since = [end for end in failures if success is None or end.at_us > success.at_us]
        kept = {*failures[-1:], *since[-LONGEST:], *([success] if success else [])}
        return Streak(tuple(sorted(kept)), whole=self.whole or whole)


def _same(one: End, other: End) -> bool:
    return one.run_id == other.run_id and abs(one.at_us - other.at_us) <= _SAME_US


class Streaks:
    """The streaks of all deployments; those in memory are what the file has committed.

    Args:
        con: The ledger's connection; the caller opens the transactions.
    """

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._streaks: dict[Labels, Streak] = {
            (target, flow, name): _DECODER.decode(streak)
            for target, flow, name, streak in con.execute("SELECT * FROM streak")
        }

    def of(self, target: str) -> dict[Labels, Streak]:
        """Return the streaks of a target by flow and deployment."""
        return {labels[1:]: each for labels, each in self._streaks.items() if labels[0] == target}

    def after(
        self, ended: Mapping[Labels, Iterable[End]], histories: Iterable[History]
    ) -> dict[Labels, Streak]:
        """Return the streaks that change by what is learnt; none is changed yet."""
        changed = {each: self._of(each).plus(ends) for each, ends in ended.items()}
        for told in histories:
            before = changed.get(told.deployment) or self._of(told.deployment)
            changed[told.deployment] = before.plus(told.ends, whole=True)
        return changed

    def _of(self, deployment: Labels) -> Streak:
        return self._streaks.get(deployment, Streak())

    def write(self, streaks: Mapping[Labels, Streak]) -> None:
        """Keep streaks in the file."""
        rows = [(*each, _ENCODER.encode(streak).decode()) for each, streak in streaks.items()]
        self._con.executemany("INSERT OR REPLACE INTO streak VALUES (?, ?, ?, ?)", rows)

    def load(self, streaks: Mapping[Labels, Streak]) -> None:
        """Take in streaks that the file has committed."""
        self._streaks.update(streaks)

    def drop(self, deployments: Collection[Labels]) -> None:
        """Drop streaks from the file."""
        self._con.executemany(
            "DELETE FROM streak WHERE target = ? AND flow = ? AND name = ?", list(deployments)
        )

    def forget(self, deployments: Iterable[Labels]) -> None:
        """Drop streaks that the file has no more."""
        for deployment in deployments:
            self._streaks.pop(deployment, None)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Streak)
