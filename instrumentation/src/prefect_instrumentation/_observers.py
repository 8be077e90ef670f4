"""Several observers as one; what one of them does wrong is not the others' concern."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prefect_instrumentation._guard import attempt
from prefect_instrumentation._runs import Observer, Outcome, Run, RunObserver, StateChange


class Observers:
    """Tells each observer of every run, in their order.

    Args:
        observers: what one makes current while a run's code runs is there for those after it.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def started(self, run: Run) -> RunObserver:
        """Have all of them observe the run."""
        watches = [attempt(observer.started, run) for observer in self._observers]
        return _RunObservers(tuple(watch for watch in watches if watch is not None))

    def outgoing(self) -> Mapping[str, str]:
        """Return what any of them carries on."""
        labels: dict[str, str] = {}
        for observer in self._observers:
            labels.update(attempt(observer.outgoing) or {})
        return labels

    def flush(self) -> bool:
        """Have each send what it holds; return whether everything has arrived."""
        arrived = [attempt(observer.flush) for observer in self._observers]
        return all(arrived)


class Later:
    """An observer that is made when the first run starts, if it is wanted then.

    Args:
        make: imports what is dear; returns None where nobody is to hear of runs.
    """

    def __init__(self, make: Callable[[], Observer | None]) -> None:
        self._make = make
        self._is_made = False
        self._observer: Observer | None = None

    def started(self, run: Run) -> RunObserver | None:
        """Tell it of the run."""
        if not self._is_made:
            self._observer, self._is_made = attempt(self._make), True
        return self._observer.started(run) if self._observer else None

    def outgoing(self) -> Mapping[str, str]:
        """Return what it carries on."""
        return self._observer.outgoing() if self._observer else {}

    def flush(self) -> bool:
        """Have it send what it holds."""
        return self._observer.flush() if self._observer else True


class _RunObservers:
    __slots__ = ("_watches",)

    def __init__(self, watches: tuple[RunObserver, ...]) -> None:
        self._watches = watches

    @property
    def labels(self) -> Mapping[str, str]:
        labels: dict[str, str] = {}
        for watch in self._watches:
            labels.update(watch.labels)
        return labels

    def resumed(self) -> None:
        for watch in self._watches:
            attempt(watch.resumed)

    def suspended(self) -> None:
        for watch in reversed(self._watches):
            attempt(watch.suspended)

    def changed(self, state: StateChange) -> None:
        for watch in self._watches:
            attempt(watch.changed, state)

    def raised(self, error: BaseException) -> None:
        for watch in self._watches:
            attempt(watch.raised, error)

    def renamed(self, name: str) -> None:
        for watch in self._watches:
            attempt(watch.renamed, name)

    def ended(self, outcome: Outcome | None) -> None:
        # The first may send what all have: a span that has ended is waited for no longer.
        for watch in reversed(self._watches):
            attempt(watch.ended, outcome)
