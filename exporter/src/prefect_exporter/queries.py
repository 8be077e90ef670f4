"""What we ask for, as Prefect's JSON; ``msgspec`` writes the times and ids in it."""

from __future__ import annotations

from prefect_exporter.api import EventFilter, Interval, RunFilter

EVENT_PAGE = 50
"""The most events that Prefect gives at once; a limit above it is refused."""


def flow_run_filter(where: RunFilter) -> dict[str, object]:
    """Return the ``flow_runs`` part of a request's body."""
    conditions: dict[str, object] = {}
    if where.ended is not None:
        conditions["end_time"] = _bounds(where.ended)
    if where.started is not None:
        # Prefect compares the expected start time where a run has not started.
        conditions["start_time"] = {**_bounds(where.started), "is_null_": False}
    if where.due is not None:
        conditions["next_scheduled_start_time"] = _bounds(where.due)
    if where.ids:
        conditions["id"] = {"any_": where.ids}
    if where.deployment_ids:
        conditions["deployment_id"] = {"any_": where.deployment_ids}
    if state := _state(where):
        conditions["state"] = state
    return conditions


def task_run_filter(where: RunFilter) -> dict[str, object]:
    """Return the ``task_runs`` part of a request's body.

    Prefect knows neither *due* nor *not_state_names* of task runs, and rejects them.
    """
    conditions = flow_run_filter(where)
    if not where.placeholders:
        conditions["subflow_runs"] = {"exists_": False}
    return conditions


def task_run_query(where: RunFilter) -> dict[str, object]:
    """Return the body that selects task runs, by their own flow runs too."""
    query: dict[str, object] = {"task_runs": task_run_filter(where)}
    if where.of is not None:
        query["flow_runs"] = flow_run_filter(where.of)
    return query


def event_query(where: EventFilter) -> dict[str, object]:
    """Return the body of ``POST /events/filter``."""
    return {"limit": EVENT_PAGE, "filter": event_filter(where)}


def event_filter(where: EventFilter) -> dict[str, object]:
    """Return the ``filter`` part of a request for events."""
    named: dict[str, object] = {}
    if where.prefix:
        named["prefix"] = [where.prefix]
    if where.without:
        named["exclude_name"] = where.without
    if where.names:
        named["name"] = where.names
    bounds = {"since": where.occurred.after, "until": where.occurred.before}
    occurred = {name: at for name, at in bounds.items() if at is not None}
    conditions: dict[str, object] = {
        "occurred": occurred,
        "order": "DESC" if where.newest_first else "ASC",
    }
    if named:
        conditions["event"] = named
    if where.resources:
        distinct = {"distinct": True} if where.one_each else {}
        conditions["resource"] = {"id": where.resources, **distinct}
    return conditions


def _bounds(interval: Interval) -> dict[str, object]:
    bounds = {"after_": interval.after, "before_": interval.before}
    return {name: at for name, at in bounds.items() if at is not None}


def _state(where: RunFilter) -> dict[str, object]:
    # Prefect 3.8 ignores a sub-filter that has both any_ and not_any_: one of them in each.
    state: dict[str, object] = {}
    if where.state_types:
        state["type"] = {"any_": where.state_types}
    if where.not_state_names:
        state["name"] = {"not_any_": where.not_state_names}
    return state
