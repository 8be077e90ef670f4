"""How often a process has seen a failure."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from prefect_instrumentation._errors.occurrences import Occurrences, nth


def test_each_failure_is_counted_by_itself() -> None:
    """The first of a kind is 1, whatever others there were."""
    occurrences = Occurrences()

    assert [1, 2, 1, 3] == [occurrences.nth(each) for each in ("a", "a", "b", "a")]


def test_the_failure_not_seen_for_longest_is_forgotten() -> None:
    """Memory is bounded, and what still happens is still counted."""
    occurrences = Occurrences(size=2)

    assert [1, 1, 2, 1, 3, 1] == [occurrences.nth(each) for each in ("a", "b", "a", "c", "a", "b")]


def test_threads_do_not_count_for_each_other() -> None:
    """Every count is given once."""
    occurrences = Occurrences()
    with ThreadPoolExecutor(8) as pool:
        counts = pool.map(lambda _: [occurrences.nth("a") for _ in range(500)], range(8))

    assert list(range(1, 4001)) == sorted(count for some in counts for count in some)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_process_counts_anew() -> None:
    """A child begins at 1, and its parent goes on."""
    before = nth("forked")
    child = os.fork()
    if not child:
        os._exit(nth("forked"))
    _, status = os.waitpid(child, 0)

    assert 1 == os.waitstatus_to_exitcode(status)
    assert before + 1 == nth("forked")
