"""Names: each has its own place or the common one, for good; and what deployments were called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.ledger.database import connect, transaction
from prefect_exporter.ledger.names import DeploymentName, Names, fold

LIMITS = {"deployment": 2, "task": 1}
OTHER = ("other", "other")


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture(name="names")
def _names(path: Path) -> Iterator[Names]:
    with closing(connect(path)) as con, transaction(con, path):
        yield Names(con, LIMITS)


def reopened(path: Path) -> Names:
    """Return the names as a new process reads them."""
    with closing(connect(path)) as con:
        return Names(con, LIMITS)


def admitted(names: Names, *wanted: str, scope: str = "deployment") -> list[tuple[str, ...]]:
    """Return the places that names of one flow get, in turn."""
    return [names.admit("t", scope, ("etl", name)) for name in wanted]


def test_names_beyond_the_limit_fold(names: Names) -> None:
    """As many names as the limit have places of their own, every later one is ``other``."""
    expected = [("etl", "a"), ("etl", "b"), OTHER, OTHER]

    assert expected == admitted(names, "a", "b", "c", "d")


def test_known_name_keeps_its_place(names: Names) -> None:
    """A name is given its place once, whatever comes after it."""
    admitted(names, "a", "b", "c")

    assert [OTHER, ("etl", "a")] == admitted(names, "c", "a")


def test_new_name_has_no_place_yet(names: Names) -> None:
    """A name that nobody has admitted is not shown, neither here nor anywhere else."""
    names.admit("t", "deployment", ("etl", "a"))

    assert None is names.shown("t", "deployment", ("etl", "b"))
    assert None is names.shown("t", "task", ("etl", "a"))
    assert None is names.shown("u", "deployment", ("etl", "a"))


def test_limit_is_by_scope_and_target(names: Names) -> None:
    """A full scope takes nothing away from another one."""
    admitted(names, "a", "b", "c")

    assert [("etl", "a"), OTHER] == admitted(names, "a", "b", scope="task")
    assert ("etl", "d") == names.admit("u", "deployment", ("etl", "d"))


def test_places_outlive_the_process(path: Path) -> None:
    """After a restart own names are own and folded ones folded."""
    with closing(connect(path)) as con, transaction(con, path):
        admitted(Names(con, LIMITS), "a", "b", "c")
    names = reopened(path)

    shown = [names.shown("t", "deployment", ("etl", name)) for name in "abcd"]
    assert [("etl", "a"), ("etl", "b"), OTHER, None] == shown


def test_freed_place_goes_to_a_new_name(names: Names) -> None:
    """A place that was given back is taken by the next new name; a folded name stays folded."""
    admitted(names, "a", "b", "c")
    names.release("t", "deployment", ("etl", "a"))

    assert [OTHER, ("etl", "d"), OTHER] == admitted(names, "c", "d", "a")


@pytest.mark.parametrize("name", ["folded", "never"])
def test_only_an_own_place_can_be_freed(names: Names, name: str) -> None:
    """Giving back a name without a place of its own frees nothing."""
    admitted(names, "a", "b", "folded")
    names.release("t", "deployment", ("etl", name))

    assert [OTHER, OTHER] == admitted(names, "folded", "new")


def test_memory_for_folded_names_is_bounded(names: Names) -> None:
    """However many names come, no more than a few limits' worth of them is kept."""
    places = admitted(names, *(f"name {number}" for number in range(100)))

    assert 98 == places.count(OTHER)
    known = [name for name in range(100) if names.shown("t", "deployment", ("etl", f"name {name}"))]
    assert list(range(10)) == known


DAILY = DeploymentName(UUID(int=1), "etl", "daily")


def test_deployment_keeps_its_last_name(path: Path) -> None:
    """A deployment is known by what Prefect last called it, also after a restart."""
    with closing(connect(path)) as con, transaction(con, path):
        names = Names(con, LIMITS)
        names.remember("t", [DeploymentName(DAILY.id, "etl", "old"), DAILY])

    assert DAILY == names.deployment("t", DAILY.id) == reopened(path).deployment("t", DAILY.id)
    assert None is names.deployment("u", DAILY.id)


def test_gone_is_since_the_first_listing_without(names: Names) -> None:
    """A deployment is gone from when a listing first did not show it."""
    names.remember("t", [DAILY])
    for now_us in (10, 20):
        names.mark_gone("t", [], now_us)

    gone = [names.gone_before("t", at_us) for at_us in (10, 11)]
    assert [[], [DAILY]] == gone


def test_shown_deployment_is_not_gone(names: Names) -> None:
    """A deployment that is listed is not gone, also where it was missing before."""
    names.remember("t", [DAILY])
    names.mark_gone("t", [], 10)
    names.mark_gone("t", [DAILY.id], 20)

    assert [] == names.gone_before("t", 99)


def test_name_is_free_when_nobody_has_it(names: Names) -> None:
    """Of two deployments with one name only the last to go frees it."""
    twin = DeploymentName(UUID(int=2), "etl", "daily")
    names.remember("t", [DAILY, twin])
    names.remember("u", [DeploymentName(UUID(int=3), "etl", "daily")])

    assert [False, True] == [names.drop("t", DAILY), names.drop("t", twin)]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3).map(tuple))
def test_fold_keeps_the_number_of_labels(name: tuple[str, ...]) -> None:
    """A folded name has ``other`` in every place, one that is not is itself."""
    assert (("other",) * len(name), name) == (fold(name, folded=True), fold(name, folded=False))
