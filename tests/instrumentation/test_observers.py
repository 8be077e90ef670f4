"""Several observers of one run: in their order, and none of them at the others' cost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from observed import COMPLETED, FLOW, RUNNING
from prefect_instrumentation._observers import Later, Observers
from prefect_instrumentation._runs import Observer, Outcome, Run, RunObserver, StateChange


class Listener:
    """Writes down what it hears, and raises where it is told to."""

    def __init__(self, name: str, heard: list[str], raises: str = "") -> None:
        self.name = name
        self.heard = heard
        self.raises = raises

    def hear(self, what: str) -> None:
        """Write it down."""
        self.heard.append(f"{self.name}.{what}")
        if what == self.raises:
            raise ValueError(what)

    def started(self, run: Run) -> RunObserver:
        """Hear of a run."""
        self.hear("started")
        return self

    @property
    def labels(self) -> Mapping[str, str]:
        """Name itself."""
        return {"name": self.name, self.name: "x"}

    def outgoing(self) -> Mapping[str, str]:
        """Name itself."""
        self.hear("outgoing")
        return self.labels

    def flush(self) -> bool:
        """Say that nothing arrived if it is the first."""
        self.hear("flush")
        return self.name != "a"

    def resumed(self) -> None:
        """Hear of it."""
        self.hear("resumed")

    def suspended(self) -> None:
        """Hear of it."""
        self.hear("suspended")

    def changed(self, state: StateChange) -> None:
        """Hear of it."""
        self.hear(f"changed to {state.name}")

    def raised(self, error: BaseException) -> None:
        """Hear of it."""
        self.hear(f"raised {error!r}")

    def renamed(self, name: str) -> None:
        """Hear of it."""
        self.hear(f"renamed to {name}")

    def ended(self, outcome: Outcome | None) -> None:
        """Hear of it."""
        self.hear("ended")


def tell_all(observers: Observers) -> None:
    """Tell of a whole run."""
    watch = observers.started(FLOW)
    watch.resumed()
    watch.changed(RUNNING)
    watch.raised(KeyError("eggs"))
    watch.renamed("heron")
    watch.ended(Outcome(COMPLETED, 1, None))
    watch.suspended()


STEPS = ("started", "resumed", "changed to Running", "raised KeyError('eggs')", "renamed to heron")


def test_each_hears_of_everything_in_their_order() -> None:
    """What is made current first is taken away last."""
    heard: list[str] = []

    tell_all(Observers(Listener("a", heard), Listener("b", heard)))

    expected = [f"{name}.{step}" for step in STEPS for name in "ab"]
    last = [f"{name}.{step}" for step in ("ended", "suspended") for name in "ba"]
    assert [*expected, *last] == heard


@pytest.mark.parametrize("step", [*STEPS[1:], "ended", "suspended"])
def test_one_that_raises_costs_the_others_nothing(step: str) -> None:
    """Whatever an observer raises stays here, and the next one hears all the same."""
    heard: list[str] = []

    tell_all(Observers(Listener("a", heard, step), Listener("b", heard)))

    assert f"b.{step}" in heard


def test_one_that_cannot_start_hears_no_more() -> None:
    """An observer that fails at a run's start is not told of its end."""
    heard: list[str] = []

    tell_all(Observers(Listener("a", heard, "started"), Listener("b", heard)))

    assert ["a.started"] == [each for each in heard if each.startswith("a.")]
    assert "b.ended" in heard


def test_labels_are_those_of_all() -> None:
    """A run's labels and those of what it creates come from each; the last wins a name."""
    observers = Observers(Listener("a", []), Listener("b", []))

    expected = {"name": "b", "a": "x", "b": "x"}
    assert expected == observers.started(FLOW).labels == observers.outgoing()


def test_all_flush_though_the_first_did_not_arrive() -> None:
    """Each sends what it holds; only if all of it arrived it has arrived."""
    heard: list[str] = []

    assert not Observers(Listener("a", heard), Listener("b", heard)).flush()
    assert ["a.flush", "b.flush"] == heard
    assert Observers(Listener("b", heard)).flush()


def test_labels_go_on_though_one_has_none_to_give() -> None:
    """What an observer raises where it is asked for labels costs its own labels alone."""
    observers = Observers(Listener("a", [], "outgoing"), Listener("b", []))

    assert {"name": "b", "b": "x"} == observers.outgoing()


def test_later_observer_is_made_by_the_first_run() -> None:
    """Until then there is nothing to carry on or to send; from then on it is as any other."""
    heard: list[str] = []
    later = Later(lambda: Listener("a", heard))
    before = (later.outgoing(), later.flush(), list(heard))

    tell_all(Observers(later))
    tell_all(Observers(later))

    assert ({}, True, []) == before
    assert [*(f"a.{step}" for step in (*STEPS, "ended", "suspended"))] * 2 == heard
    assert ({"name": "a", "a": "x"}, False) == (later.outgoing(), later.flush())


@pytest.mark.parametrize("outcome", ["unwanted", "broken"])
def test_later_observer_is_made_once_or_not_at_all(outcome: str) -> None:
    """Where it is not wanted, or cannot be made, no further run tries again."""
    made: list[str] = []

    def make() -> Observer | None:
        made.append(outcome)
        if outcome == "broken":
            raise ImportError
        return None

    later = Later(make)
    observers = Observers(later)
    tell_all(observers)
    tell_all(observers)

    assert [outcome] == made
    assert ({}, True) == (observers.outgoing(), observers.flush())
