"""What is known of a deployment's last ends, whatever is learnt first."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts import TARGET, ledger_of, settings_of
from prefect_exporter.errors import LedgerError
from prefect_exporter.facts import Change, End, Ended, Fact, History
from prefect_exporter.ledger import Ledger
from prefect_exporter.ledger.streaks import LONGEST, Streak

DEPLOYMENT = (TARGET, "etl", "daily")
SETTINGS = settings_of()


def end(number: int, *, success: bool) -> End:
    """Return the end of a run of its own, so many seconds after 1970."""
    return End(number * 1_000_000, UUID(int=number), success)


def fact(ended: End) -> Fact:
    """Return what counting an end does to its deployment."""
    return Fact(ended.run_id, ended.at_us, (Ended(DEPLOYMENT, ended.success),))


def count(ledger: Ledger, *ends: End) -> None:
    """Commit ends as they are counted."""
    ledger.commit(Change(TARGET, "flow_runs", facts=tuple(map(fact, ends))))


def tell(ledger: Ledger, *ends: End) -> None:
    """Commit what Prefect tells of a deployment: its newest success, and its newest failures."""
    success = [each for each in sorted(ends) if each.success][-1:]
    failures = [each for each in sorted(ends) if not each.success][-LONGEST:]
    history = History(DEPLOYMENT, (*success, *failures))
    ledger.commit(Change(TARGET, "deployment_history", histories=(history,)))


def known(ledger: Ledger) -> Streak:
    """Return the deployment's streak."""
    return ledger.streaks.of(TARGET).get(DEPLOYMENT[1:], Streak())


def truth(ends: list[End]) -> tuple[int | None, int | None, int]:
    """Return the last success, the last failure, and the failures since that success."""
    succeeded = max((each.at_us for each in ends if each.success), default=None)
    failed = [each.at_us for each in ends if not each.success]
    since = [at for at in failed if at > (succeeded or 0)]
    return succeeded, max(failed, default=None), min(len(since), LONGEST)


@given(
    outcomes=st.lists(st.booleans() | st.just(value=False), max_size=40),
    order=st.randoms(use_true_random=False),
    begin=st.integers(0, 40),
    asked=st.integers(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_order_does_not_matter(outcomes: list[bool], order: Random, begin: int, asked: int) -> None:
    """Ends in any order, with the history told and the exporter restarted in between, add up.

    What ended before counting began is in the history alone, and what ended after it was asked is
    counted alone; what lies between is in both.
    """
    ends = [end(number + 1, success=success) for number, success in enumerate(outcomes)]
    counted = ends[begin:]
    order.shuffle(counted)
    middle = order.randint(0, len(counted))
    with TemporaryDirectory() as folder:
        ledger = ledger_of(Path(folder) / "ledger", SETTINGS)
        for each in counted[:middle]:
            count(ledger, each)
        tell(ledger, *ends[: max(begin, asked)])
        ledger.close()
        ledger = ledger_of(Path(folder) / "ledger", SETTINGS)
        count(ledger, *counted[middle:])
        streak = known(ledger)
        ledger.close()

    assert truth(ends) == (streak.succeeded_us, streak.failed_us, streak.failures)
    assert len(streak.ends) <= LONGEST + 2


def test_end_that_is_counted_already_adds_nothing(tmp_path: Path) -> None:
    """A fact that comes twice, and one that the history has to a rounding, are one failure."""
    ledger = ledger_of(tmp_path / "ledger", SETTINGS)
    failed = end(5, success=False)
    tell(ledger, End(failed.at_us + 1, failed.run_id, success=False))
    count(ledger, failed)
    count(ledger, failed)

    assert 1 == known(ledger).failures
    ledger.close()


def test_failures_are_unknown_without_history(tmp_path: Path) -> None:
    """While nobody knows what came before the failures seen, their number is not told."""
    ledger = ledger_of(tmp_path / "ledger", SETTINGS)
    count(ledger, end(5, success=False))
    before = known(ledger)
    count(ledger, end(4, success=True))

    assert (None, 5_000_000) == (before.failures, before.failed_us)
    assert 1 == known(ledger).failures
    ledger.close()


def test_ledger_that_cannot_be_written_keeps_the_old_streak(tmp_path: Path) -> None:
    """What the file does not keep is in memory neither."""
    ledger = ledger_of(tmp_path / "ledger", SETTINGS)
    tell(ledger, end(1, success=True))
    ledger.close()

    with pytest.raises(LedgerError):
        count(ledger, end(2, success=False))
    assert 0 == known(ledger).failures
