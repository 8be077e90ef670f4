"""Samples of names of which several may stand in one place, ``other``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prefect_exporter.labels import OTHER
from prefect_exporter.metrics import Labels, Samples


def sums(values: Iterable[tuple[Labels, float | None]]) -> Samples:
    """Return the sum of each place; None is no value."""
    found: dict[Labels, float] = {}
    for at, value in values:
        if value is not None:
            found[at] = found.get(at, 0.0) + value
    return found.items()


def highest(values: Iterable[tuple[Labels, float | None]]) -> Samples:
    """Return the highest value of each place; None is no value."""
    found: dict[Labels, float] = {}
    for at, value in values:
        if value is not None:
            found[at] = max(found.get(at, float(value)), float(value))
    return found.items()


def status_set(known: Sequence[str], statuses: Iterable[tuple[Labels, str | None]]) -> Samples:
    """Return a sample for each place and *known* status, 1 where it is the current one.

    A status that is not known shows as one more sample, ``other``; None is no status.
    """
    return highest(
        ((*at, each), float(each == (status if status in known else OTHER)))
        for at, status in statuses
        if status is not None
        for each in (known if status in known else (*known, OTHER))
    )


def folded(places: Mapping[Labels, Labels]) -> int:
    """Return how many names have no place of their own."""
    return sum(name != place for name, place in places.items())
