"""Groups: what is counted, in what order, and how much of it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from failures.failed import NOW_US, failed, run_id
from prefect_exporter.failures.grouping import MOST_FLOWS, group, subject
from prefect_exporter.failures.model import Basis, Failed, Group, Signature
from prefect_exporter.failures.series import Series, series_of
from prefect_exporter.moments import HOUR, SECOND

DAY_US = 24 * HOUR


def sign(name: str, pattern: str = "no") -> Signature:
    """Return a signature."""
    return Signature(f"m1-{name}", "user_code", "ValueError", pattern, Basis.EXCEPTION)


def groups(pairs: list[tuple[Failed, Signature]], most: int = 1000) -> list[Group]:
    """Return the groups of the last day, in 24 steps."""
    return group(pairs, since_us=NOW_US - DAY_US, until_us=NOW_US, buckets=24, most=most)


def test_group_says_how_often_since_when_and_of_which_flows() -> None:
    """The newest runs are its examples; a step of time has what ended in it."""
    pairs = [
        (failed(1, ago=1), sign("a")),
        (failed(2, ago=2 * 3600 + 1), sign("a")),
        (failed(3, ago=3, flow="b", deployment=""), sign("a")),
        (failed(4, ago=5), sign("b")),
    ]

    first, second = groups(pairs)

    assert (3, NOW_US - 7201 * SECOND, NOW_US - SECOND) == (
        first.count,
        first.first_us,
        first.last_us,
    )
    assert {"etl/nightly": 2, "b": 1} == first.flows
    assert (run_id(1), run_id(3), run_id(2)) == first.examples
    assert (0,) * 21 + (1, 0, 2) == first.buckets
    assert ("m1-b", 1) == (second.signature.id, second.count)


def test_nothing_is_no_group() -> None:
    """Not even an empty one."""
    assert [] == groups([])


def test_words_of_a_group_are_those_said_most_often() -> None:
    """Of one fingerprint messages may differ."""
    pairs = [(failed(at), sign("a", f"pattern {at > 1}")) for at in range(5)]

    (found,) = groups(pairs)

    assert "pattern True" == found.signature.pattern


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 90_000)), max_size=60), st.integers())
def test_order_of_arrival_does_not_matter_and_nothing_is_lost(
    runs: list[tuple[int, int]], seed: int
) -> None:
    """Each failure is in one group and one step; shuffled, all is the same."""
    pairs = [
        (failed(number, ago=ago), sign(str(name), f"p{number % 3}"))
        for number, (name, ago) in enumerate(runs)
    ]
    shuffled = random.Random(seed).sample(pairs, len(pairs))

    found = groups(pairs, most=3)

    assert found == groups(shuffled, most=3)
    assert len(pairs) == sum(each.count for each in found)
    assert all(each.count == sum(each.buckets) for each in found)
    assert all(each.count == sum(each.flows.values()) for each in found)
    assert all(len(each.examples) == min(5, each.count) for each in found)


def test_groups_beyond_the_most_are_one() -> None:
    """The last one, whatever its size; its words are nobody's."""
    pairs = [(failed(at, ago=at), sign(str(min(at, 20)))) for at in range(40)]

    found = groups(pairs, most=2)

    assert 3 == len(found)
    assert ["m1-20", "m1-0", "other"] == [each.signature.id for each in found]
    assert [20, 1, 19] == [each.count for each in found]
    assert "" == found[-1].signature.pattern


def test_flows_of_a_group_are_bounded() -> None:
    """A thousand flows that fail alike, as in an outage, take no more memory than a hundred."""
    pairs = [(failed(at, flow=f"flow-{at:04}"), sign("a")) for at in range(1000)]

    (found,) = groups(pairs)

    assert MOST_FLOWS + 1 == len(found.flows)
    assert 1000 == sum(found.flows.values())
    assert "other" == next(iter(found.flows))


def test_failures_outside_of_the_time_count_at_its_ends() -> None:
    """The clock of a server may be ahead."""
    (found,) = groups([(failed(1, ago=-60), sign("a")), (failed(2, ago=9e5), sign("a"))])

    assert (1, 1) == (found.buckets[0], found.buckets[-1])


def test_subject_is_the_deployment_or_the_flow() -> None:
    """As everywhere."""
    assert "etl/nightly" == subject(failed(1))
    assert "etl" == subject(failed(1, deployment=""))


def test_series_beyond_the_most_are_one() -> None:
    """Those with the most failures keep their names; all are counted."""
    pairs = [(failed(1, ago=9), sign("a")), (failed(2, ago=5), sign("a"))]
    pairs += [(failed(at, ago=at, flow=f"f{at}"), sign("b")) for at in (3, 4, 7)]

    series, number = series_of(pairs, 1)

    assert 3 == number
    assert {
        ("m1-a", "user_code", "etl"): Series(2, NOW_US - 9 * SECOND, NOW_US - 5 * SECOND),
        ("other", "other", "other"): Series(3, NOW_US - 7 * SECOND, NOW_US - 3 * SECOND),
    } == series
