"""Deployments with their schedules."""

from __future__ import annotations

from backup.objects.api import Api, Row
from backup.objects.resource import Read, Resource, Rows

_OF_SCHEDULE = ("schedule", "active", "max_scheduled_runs", "parameters", "slug")
_OWN_LIMIT = "deployment:"


def _read(api: Api, _: Read) -> Rows:
    # Of equal names PostgreSQL gives another order with each page.
    return api.rows("deployments/filter", sort="CREATED_DESC")


def _tidy(row: Row, before: Read) -> Row:
    flows = {flow["id"]: flow["name"] for flow in before["flows"]}
    labels = {
        name: value
        for name, value in (row.get("labels") or {}).items()
        if not name.startswith("prefect.")
    }
    own = {"flow_name": flows.get(row["flow_id"], ""), "labels": labels}
    rest = {name: value for name, value in row.items() if name != "concurrency_limit"}
    return rest | own | _limit(row) | {"schedules": _schedules(row)}


def _limit(row: Row) -> Row:
    """Tell its own limit by its number, and one that others share by its id.

    Never both: told that its own is null, Prefect deletes the one that others share.
    """
    limit = row.get("global_concurrency_limit") or {}
    if not limit or limit["name"].startswith(_OWN_LIMIT):
        return {"concurrency_limit": limit.get("limit")}
    return {"global_concurrency_limit_id": limit["id"]}


def _schedules(row: Row) -> Rows:
    kept = [{name: each.get(name) for name in _OF_SCHEDULE} for each in row.get("schedules") or []]
    # The server has no order for them.
    return sorted(kept, key=str)


def _create(api: Api, row: Row) -> Row:
    # Prefect fills an empty schema that it is sent, though it keeps one that it is not.
    empty = "parameter_openapi_schema"
    body = {name: value for name, value in row.items() if name != empty or value}
    return api.create("deployments/", body)


DEPLOYMENTS = Resource(
    name="deployments",
    read=_read,
    fields=(
        "flow_id",
        "flow_name",
        "name",
        "version",
        "description",
        "tags",
        "labels",
        "paused",
        "schedules",
        "parameters",
        "parameter_openapi_schema",
        "enforce_parameter_schema",
        "work_pool_name",
        "work_queue_name",
        "job_variables",
        "concurrency_limit",
        "global_concurrency_limit_id",
        "concurrency_options",
        "entrypoint",
        "path",
        "pull_steps",
        "storage_document_id",
        "infrastructure_document_id",
    ),
    key=("flow_name", "name"),
    create=_create,
    tidy=_tidy,
    ours=("flow_name",),
    names_others=True,
)
