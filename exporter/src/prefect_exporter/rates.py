"""How many runs ended in each minute of the last hour, and how quickly Prefect answered: in memory.

Prometheus has this better; it is for those who look at the status page and have no Prometheus.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from prefect_exporter.collectors.flow_runs import FINISHED
from prefect_exporter.health.model import Rate
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.traffic import Traffic

MINUTES = 60
LATENCY_MINUTES = 5
# The tally has thousands of series; what is drawn by the minute need not be summed more often.
EVERY_SECONDS = 5.0
_FAILED = frozenset({"failed", "timed_out", "crashed"})
# Inline subflows end with their parent, and would count it twice.
_INLINE = "true"


@dataclass(frozen=True, slots=True)
class Totals:
    """What one target has counted so far; *answer_seconds* is the time of all its answers."""

    completed: float = 0.0
    failed: float = 0.0
    answers: float = 0.0
    answer_seconds: float = 0.0


class Rates:
    """The totals of each target at the end of each of the last minutes.

    ``note`` is for the ledger's thread, the rest for any.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted_at = float("-inf")
        self._minutes: dict[str, deque[tuple[int, Totals]]] = {}

    def note(self, tally: Tally, traffics: Mapping[str, Traffic]) -> None:
        """Take in what these targets have counted by now, and forget the others."""
        now = self._clock()
        if now - self._noted_at < EVERY_SECONDS:
            return
        self._noted_at = now
        minute, minutes = int(now // 60), {}
        for target, totals in _totals(tally, traffics).items():
            kept = deque(self._minutes.get(target, ()), maxlen=MINUTES + 1)
            if not kept:
                # What was there before the first minute has not come in it.
                kept.append((minute - 1, totals))
            elif kept[-1][0] == minute:
                kept.pop()
            kept.append((minute, totals))
            minutes[target] = kept
        # A new mapping: whoever reads the old one meanwhile has that whole.
        self._minutes = minutes

    def rate(self, target: str) -> Rate:
        """Return how many runs ended in each minute; the last one is not over yet."""
        steps = list(_steps(self._minutes.get(target, ())))[-MINUTES:]
        return Rate(
            tuple(max(0.0, each.completed) for each in steps),
            tuple(max(0.0, each.failed) for each in steps),
        )

    def latency_seconds(self, target: str) -> float | None:
        """Return how long Prefect took to answer lately; None where it did not."""
        steps = list(_steps(self._minutes.get(target, ())))[-LATENCY_MINUTES:]
        answers = sum(each.answers for each in steps)
        return sum(each.answer_seconds for each in steps) / answers if answers >= 1 else None


def _steps(minutes: Iterable[tuple[int, Totals]]) -> Iterator[Totals]:
    """Yield what each minute has added; what came over several is shared among them evenly."""
    for (before, old), (after, new) in pairwise(minutes):
        length = after - before
        for _ in range(min(length, MINUTES)):
            yield Totals(
                (new.completed - old.completed) / length,
                (new.failed - old.failed) / length,
                (new.answers - old.answers) / length,
                (new.answer_seconds - old.answer_seconds) / length,
            )


def _totals(tally: Tally, traffics: Mapping[str, Traffic]) -> dict[str, Totals]:
    completed, failed = dict.fromkeys(traffics, 0.0), dict.fromkeys(traffics, 0.0)
    for labels, value in tally.scalars[FINISHED.name].items():
        target, _flow, _deployment, subflow, outcome = labels
        if target in traffics and subflow != _INLINE:
            if outcome in _FAILED:
                failed[target] += value
            elif outcome != "cancelled":
                completed[target] += value
    return {
        target: Totals(completed[target], failed[target], *_answered(traffic))
        for target, traffic in traffics.items()
    }


def _answered(traffic: Traffic) -> tuple[int, float]:
    histograms = list(traffic.durations.values())
    return sum(sum(each.counts) for each in histograms), sum(each.total for each in histograms)
