"""Prefect Cloud on loopback, as far as its documentation tells; docs/targets.md has the sources.

What is not documented can be set: which routes there are, and how a page that is too long is
refused.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from misbehaving import Canned, MisbehavingPrefect, Request
from recorded import EVENT_PAGE, RecordedPrefect, Row

KEY = "pnu_hunter2doNotShow"
ACCOUNT = "11111111-1111-4111-8111-111111111111"
WORKSPACE = "22222222-2222-4222-8222-222222222222"
# https://docs.prefect.io/v3/concepts/rate-limits
BODY_BYTES = 5 * 1024 * 1024
EVENT_SPAN = timedelta(days=14)
# An answer has more fields than the open-source server's, and every reader must pass over them.
_OF_CLOUD = {"account": ACCOUNT, "workspace": WORKSPACE, "actor": {"type": "user", "id": None}}
_JSON = {"content-type": "application/json"}
_NOT_FOUND = 404, {"detail": "Not Found"}


def told_plainly(allowed: int) -> object:
    """Say that a page is too long as the open-source server does."""
    return {"detail": f"Invalid limit: must be less than or equal to {allowed}."}


def told_by_schema(allowed: int) -> object:
    """Say it as the validation of a request's schema does, which stands behind both."""
    detail = {
        "type": "less_than_equal",
        "loc": ["body", "limit"],
        "msg": f"Input should be less than or equal to {allowed}",
        "input": 200,
        "ctx": {"le": allowed},
    }
    return {"exception_message": "Invalid request received.", "exception_detail": [detail]}


@dataclass
class Cloud(MisbehavingPrefect):
    """One workspace; ``url`` is its address.

    Args:
        page_limit: The most rows of a page of anything but events.
        lacking: The routes that are not there, as ``PrefectClient`` names them.
        lacking_status: How these are answered.
        too_long: What is said of a longer page; its argument is the limit.
        tables: The rows of the routes that ``RecordedPrefect`` does not have.
        served: The route and the status of each request.
        spans: The time that each query for events spans.
    """

    page_limit: int = 200
    lacking: frozenset[str] = frozenset()
    lacking_status: int = 404
    too_long: Callable[[int], object] = told_plainly
    tables: dict[str, list[Row]] = field(default_factory=lambda: _tables(1))
    served: list[tuple[str, int]] = field(default_factory=list)
    spans: list[timedelta] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the workspace."""
        return f"{super().url}/accounts/{ACCOUNT}/workspaces/{WORKSPACE}"

    def add(self, number: int) -> None:
        """Hold so many of everything, each run of another flow and deployment."""
        self.prefect = _rows(number)
        self.tables = _tables(number)

    def statuses(self, route: str) -> list[int]:
        """Return how the requests to a route were answered."""
        return [status for asked, status in self.served if asked == route]

    def _recorded(self, request: Request) -> Canned:
        path, _, query = request.path.partition("?")
        path = path.removeprefix("/api/")
        inside = path.removeprefix(f"accounts/{ACCOUNT}/workspaces/{WORKSPACE}/")
        route = _route(inside)
        status, value = self._refused(request) or (
            _NOT_FOUND if inside == path else self._of_workspace(request, route, inside, query)
        )
        self.served.append((route, status))
        return _canned(request, status, value)

    def _of_workspace(
        self, request: Request, route: str, path: str, query: str
    ) -> tuple[int, object]:
        if route in self.lacking:
            return self.lacking_status, {"detail": "Not Found"}
        asked: Row = json.loads(request.body) if request.body else {}
        allowed = EVENT_PAGE if route == "events/filter" else self.page_limit
        if asked.get("limit", 0) > allowed:
            return 422, self.too_long(allowed)
        if route.startswith("events/") and "filter" in asked and self._spans_too_much(asked):
            return 422, {"detail": "Event queries are limited to a 14-day window."}
        if route in self.tables:
            start = asked.get("offset", 0)
            return 200, _told(self.tables[route][start : start + asked.get("limit", 200)])
        if route == "events/filter" and "name" in asked["filter"].get("event", {}):
            return 200, {"events": [], "total": 0, "next_page": None}
        status, value = self.prefect.answer(path, query, request.body)
        return status, _told(value)

    def _refused(self, request: Request) -> tuple[int, object] | None:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"detail": "Unauthorized"}
        if request.method == "POST" and "content-length" not in request.headers:
            return 411, {"detail": "Length Required"}
        if len(request.body) > BODY_BYTES:
            return 413, {"detail": "Content Too Large"}
        return None

    def _spans_too_much(self, asked: Row) -> bool:
        occurred: Mapping[str, str] = asked["filter"].get("occurred", {})
        until = datetime.fromisoformat(occurred.get("until", datetime.now(UTC).isoformat()))
        # Without a beginning, the open-source server takes half a year.
        since = datetime.fromisoformat(
            occurred.get("since", (until - timedelta(days=180)).isoformat())
        )
        self.spans.append(until - since)
        return until - since > EVENT_SPAN


def _route(path: str) -> str:
    """Return a path without names and ids, as ``PrefectClient`` counts it."""
    match path.split("/"):
        case ["work_pools", _, *rest] if rest:
            return "/".join(["work_pools", *rest])
        case ["concurrency_limits", "tag", _]:
            return "concurrency_limits/tag"
        case _:
            return path


def _canned(request: Request, status: int, value: object) -> Canned:
    body = msgspec.json.encode(value)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return status, {**_JSON, "content-encoding": "gzip"}, gzip.compress(body, 1)
    return status, _JSON, body


def _told(value: object) -> object:
    """Return an answer with fields of Cloud's own in every row."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [{**_OF_CLOUD, **row} for row in value]
    if isinstance(value, Mapping) and "events" in value:
        return {**value, "events": _told(value["events"])}
    return value


def _rows(number: int) -> RecordedPrefect:
    prefect = RecordedPrefect()
    prefect.flows = [{**prefect.flow, "id": uuid4(), "name": f"flow-{n}"} for n in range(number)]
    prefect.deployments = [
        {**prefect.deployment, "id": uuid4(), "name": f"nightly-{n}", "flow_id": flow["id"]}
        for n, flow in enumerate(prefect.flows)
    ]
    return prefect


def run_all(prefect: RecordedPrefect) -> None:
    """Let each deployment's flow run complete now, with one task run."""
    for flow, deployment in zip(prefect.flows, prefect.deployments, strict=True):
        prefect.flow, prefect.deployment = flow, deployment
        prefect.add_flow_run()
        prefect.add_task_run()


def _tables(number: int) -> dict[str, list[Row]]:
    now = datetime.now(UTC)
    names = range(number)
    beat = {"status": "ONLINE", "last_heartbeat_time": now}
    ready = {"is_paused": False, "status": "READY", "concurrency_limit": None}
    limit = {"limit": 2, "active_slots": 0, "active": True}
    return {
        "work_pools/filter": [{"name": f"pool-{n}", "type": "process", **ready} for n in names],
        "work_pools/workers/filter": [{"name": f"worker-{n}", **beat} for n in names],
        "work_queues/filter": [
            {"name": f"queue-{n}", "work_pool_name": "pool-0", "priority": n, **ready}
            for n in names
        ],
        "v2/concurrency_limits/filter": [{"name": f"limit-{n}", **limit} for n in names],
        "concurrency_limits/filter": [
            {"tag": f"tag-{n}", "concurrency_limit": 1, "active_slots": []} for n in names
        ],
        "automations/filter": [
            {"id": uuid4(), "name": f"automation-{n}", "enabled": True} for n in names
        ],
        "events/count-by/event": [
            {"value": "prefect.flow-run.Completed", "label": "Completed", "count": 3}
        ],
    }
