"""Prefect's answers without Prefect: the routes that the exporter reads, over rows in memory.

The shapes are those of a Prefect 3.8.8 server, cut down to a few fields beside those that are read.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

Row = dict[str, Any]
Answer = tuple[int, object]

EVENT_PAGE = 50
_NOT_READY: Answer = (503, {"message": "Database is not available"})
_FORBIDDEN: Answer = (403, {"detail": "Forbidden"})


_HEARD = "2026-11-21T12:00:30Z"
# What does not change while a test runs: one of each, by the route of its list.
_LISTS: dict[str, list[Row]] = {
    "work_pools/filter": [
        {
            "name": "default",
            "type": "process",
            "base_job_template": {"variables": {"password": "hunter2"}},
            "is_paused": False,
            "concurrency_limit": 10,
            "active_slots": 2,
            "status": "READY",
        }
    ],
    "work_pools/default/workers/filter": [
        {"name": "w1", "last_heartbeat_time": _HEARD, "status": "ONLINE"}
    ],
    "work_queues/filter": [
        {
            "name": "default",
            "work_pool_name": "default",
            "is_paused": False,
            "concurrency_limit": 4,
            "active_slots": 2,
            "priority": 1,
            "last_polled": _HEARD,
            "status": "READY",
        }
    ],
    "v2/concurrency_limits/filter": [
        {"name": "api", "limit": 5, "active": True, "active_slots": 1, "slot_decay_per_second": 0.0}
    ],
    "concurrency_limits/filter": [],
}


@dataclass
class RecordedPrefect:
    """A tiny Prefect: filters, sorts, pages and counts, with one flow and one deployment.

    Args:
        page_limit: The most rows of a page; more are answered with 422, as Prefect does.
        ready: Whether ``/ready`` says so.
    """

    page_limit: int = 200
    ready: bool = True
    flows: list[Row] = field(default_factory=list)
    deployments: list[Row] = field(default_factory=list)
    flow_runs: list[Row] = field(default_factory=list)
    task_runs: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    automations: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flow = {"id": uuid4(), "name": "etl", "tags": []}
        self.deployment = {"id": uuid4(), "name": "nightly", "flow_id": self.flow["id"]}
        self.flows.append(self.flow)
        self.deployments.append(self.deployment)

    def add_flow_run(self, state: str = "COMPLETED", *, at: datetime | None = None) -> UUID:
        """Add a flow run that entered *state* at *at* (now), and the event that tells of it."""
        at = at or datetime.now(UTC)
        run: Row = {**_run(state, at), "flow_id": self.flow["id"]}
        run |= {"deployment_id": self.deployment["id"], "parameters": {"password": "hunter2"}}
        run |= {"work_pool_name": "default", "work_queue_name": "default"}
        self.flow_runs.append(run)
        self.events.append(_event(run, at))
        identity: UUID = run["id"]
        return identity

    def add_task_run(
        self, state: str = "COMPLETED", *, at: datetime | None = None, subflow: bool = False
    ) -> UUID:
        """Add a task run that entered *state* at *at* (now); *subflow* makes it a placeholder."""
        run: Row = {**_run(state, at or datetime.now(UTC)), "task_key": "load-1a2b3c4d"}
        run |= {"flow_run_id": uuid4()}
        run["state"]["state_details"] = {"child_flow_run_id": uuid4() if subflow else None}
        self.task_runs.append(run)
        identity: UUID = run["id"]
        return identity

    def add_automation(self, name: str, *, enabled: bool = True) -> UUID:
        """Add an automation."""
        identity = uuid4()
        self.automations.append(
            {"id": identity, "name": name, "enabled": enabled, "trigger": {"type": "event"}}
        )
        return identity

    def add_event(self, name: str, at: datetime, **resource: str) -> None:
        """Add an event that happened at *at*; an underscore in a label's name stands for a dot."""
        labels = {key.replace("_", "."): value for key, value in resource.items()}
        row = {"id": uuid4(), "occurred": at, "received": at, "event": name, "resource": labels}
        self.events.append({**row, "related": [], "payload": {}})

    def answer(self, route: str, query: str, body: bytes) -> Answer:
        """Return the status and the JSON value for one request; *route* has no leading slash."""
        asked: Row = json.loads(body) if body else {}
        if route in _LISTS:
            return self._part(_LISTS[route], asked)
        fixed: dict[str, Answer] = {
            "admin/version": (200, "3.8.8"),
            "ready": (200, {"message": "OK"}) if self.ready else _NOT_READY,
            "csrf-token": (200, {"token": "0123456789abcdef"}),
        }
        match route.split("/"):
            case ["task_runs", _] if _refused(asked.get("task_runs", {})):
                return 422, {"exception_message": "Invalid request received."}
            case ["events", *_]:
                return self._events(route, query, asked)
            case [
                ("automations" | "flows" | "deployments" | "flow_runs" | "task_runs") as kind,
                "filter",
            ]:
                return self._page(kind, asked)
            case [("flow_runs" | "task_runs") as kind, "count"]:
                return 200, len(self._matching(kind, asked))
            case _:
                return fixed.get(route, (404, {"detail": "Not Found"}))

    def _matching(self, kind: str, asked: Row) -> list[Row]:
        rows: list[Row] = [row for row in getattr(self, kind) if _matches(row, asked.get(kind, {}))]
        if kind == "task_runs" and "flow_runs" in asked:
            runs = {row["id"] for row in self._matching("flow_runs", asked)}
            return [row for row in rows if row["flow_run_id"] in runs]
        return rows

    def _page(self, kind: str, asked: Row) -> Answer:
        by, _, direction = asked.get("sort", "NAME_ASC").lower().rpartition("_")
        rows = self._matching(kind, asked)
        empty = datetime.min.replace(tzinfo=UTC)
        rows.sort(key=lambda row: row.get(by) or empty, reverse=direction == "desc")
        return self._part(rows, asked)

    def _part(self, rows: Sequence[Row], asked: Row) -> Answer:
        limit = asked.get("limit", self.page_limit)
        if limit > self.page_limit:
            detail = f"Invalid limit: must be less than or equal to {self.page_limit}."
            return 422, {"detail": detail}
        start = asked.get("offset", 0)
        return 200, rows[start : start + limit]

    def _next_event_page(self, query: str) -> Answer:
        try:
            where, start, limit = json.loads(b64decode(parse_qs(query)["page-token"][0]))
        except ValueError:
            return _FORBIDDEN
        return self._event_page(where, start, limit)

    def _events(self, route: str, query: str, asked: Row) -> Answer:
        if route == "events/filter":
            return self._event_page(asked["filter"], 0, asked.get("limit", EVENT_PAGE))
        if route == "events/filter/next":
            return self._next_event_page(query)
        return self._event_counts(asked["filter"])

    def _event_counts(self, where: Row) -> Answer:
        names = Counter(event["event"] for event in self.events if _event_matches(event, where))
        return 200, [
            {"value": name, "label": name, "count": number, "start_time": at, "end_time": at}
            for name, number in names.items()
            for at in [where["occurred"]["since"]]
        ]

    def _event_page(self, where: Row, start: int, limit: int) -> Answer:
        rows = [event for event in self.events if _event_matches(event, where)]
        rows.sort(key=lambda event: event["occurred"], reverse=where.get("order") != "ASC")
        if where.get("resource", {}).get("distinct"):
            first = {_resource_id(event): event for event in reversed(rows)}
            rows = [event for event in rows if first[_resource_id(event)] is event]
        page, end = rows[start : start + limit], start + limit
        token = b64encode(json.dumps([where, end, limit]).encode()).decode()
        # The address that Prefect believes it has, which nobody outside can reach.
        next_page = f"http://inside:4200/api/events/filter/next?page-token={token}"
        return 200, {
            "events": page,
            "total": len(rows),
            "next_page": next_page if end < len(rows) else None,
        }


def _run(state: str, at: datetime) -> Row:
    ended = state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    began = None if state == "SCHEDULED" else at - timedelta(seconds=2) if ended else at
    name = state.capitalize()
    return {
        "id": uuid4(),
        "name": "shiny-otter",
        "run_count": 0 if began is None else 1,
        "total_run_time": 2.0 if ended else 0.0,
        "state_type": state,
        "state_name": name,
        "state": {"type": state, "name": name, "timestamp": at},
        "expected_start_time": began or at,
        "next_scheduled_start_time": at if began is None else None,
        "start_time": began,
        "end_time": at if ended else None,
    }


def _event(run: Row, at: datetime) -> Row:
    name = run["state_name"]
    return {
        "id": uuid4(),
        "occurred": at,
        "received": at,
        "event": f"prefect.flow-run.{name}",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run['id']}"},
        "related": [
            {
                "prefect.resource.id": f"prefect.flow.{run['flow_id']}",
                "prefect.resource.role": "flow",
                "prefect.resource.name": "etl",
            },
            {
                "prefect.resource.id": f"prefect.deployment.{run['deployment_id']}",
                "prefect.resource.role": "deployment",
                "prefect.resource.name": "nightly",
            },
        ],
        "payload": {
            "initial_state": {"type": "RUNNING", "name": "Running"},
            "validated_state": {"type": run["state_type"], "name": name},
        },
    }


def _refused(task_conditions: Row) -> bool:
    """Tell whether Prefect knows these conditions of flow runs only."""
    names = task_conditions.get("state", {}).get("name", {})
    return "next_scheduled_start_time" in task_conditions or "not_any_" in names


def _matches(row: Row, conditions: Mapping[str, Row]) -> bool:
    for name, condition in conditions.items():
        if name == "state":
            parts = {f"state_{part}": wanted for part, wanted in condition.items()}
            holds = _matches(row, parts)
        elif name == "subflow_runs":
            child = row["state"]["state_details"]["child_flow_run_id"]
            holds = (child is not None) == condition["exists_"]
        else:
            holds = all(_holds(row.get(name), *test) for test in condition.items())
        if not holds:
            return False
    return True


def _holds(value: object, operator: str, wanted: object) -> bool:
    match operator, wanted:
        case "any_", Sequence():
            return str(value) in wanted
        case "not_any_", Sequence():
            return str(value) not in wanted
        case "is_null_", bool():
            return (value is None) == wanted
        case (("after_" | "since"), str()):
            return isinstance(value, datetime) and value >= datetime.fromisoformat(wanted)
        case (("before_" | "until"), str()):
            return isinstance(value, datetime) and value <= datetime.fromisoformat(wanted)
        case _:
            raise ValueError(operator)


def _resource_id(event: Row) -> object:
    return event["resource"]["prefect.resource.id"]


def _event_matches(event: Row, where: Row) -> bool:
    named = where.get("event", {})
    return (
        all(_holds(event["occurred"], *test) for test in where.get("occurred", {}).items())
        and event["event"].startswith(tuple(named.get("prefix", [""])))
        and event["event"] in named.get("name", [event["event"]])
        and _resource_id(event) in where.get("resource", {}).get("id", [_resource_id(event)])
        and event["event"] not in named.get("exclude_name", [])
    )
