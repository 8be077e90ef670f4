"""Questions about events, as Prefect's JSON."""

from __future__ import annotations

from prefect_exporter.api import EventFilter, Interval
from prefect_exporter.queries import event_filter


def test_event_filter_names_what_is_wanted() -> None:
    """Names, resources and one of each go where Prefect looks for them."""
    where = EventFilter(
        "",
        Interval(),
        names=("prefect.flow-run.heartbeat",),
        resources=("prefect.flow-run.1",),
        newest_first=True,
        one_each=True,
    )

    assert {
        "occurred": {},
        "order": "DESC",
        "event": {"name": ("prefect.flow-run.heartbeat",)},
        "resource": {"id": ("prefect.flow-run.1",), "distinct": True},
    } == event_filter(where)


def test_event_filter_asks_for_nothing_that_is_not_wanted() -> None:
    """An older server refuses conditions that it does not know, so they are left out."""
    where = EventFilter("", Interval(), resources=("prefect.flow-run.1",))

    assert {
        "occurred": {},
        "order": "ASC",
        "resource": {"id": ("prefect.flow-run.1",)},
    } == event_filter(where)
