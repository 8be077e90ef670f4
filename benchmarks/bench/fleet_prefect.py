"""Very many Prefect workspaces in one process, over HTTP: ``python -m bench.fleet_prefect``.

Their runs are those of the simulated day, at the real time and at an even pace, and every answer
comes after as long as a Prefect server on PostgreSQL takes. No answer is zipped.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.day_api import answer_seconds
from bench.day_prefect import Question, SimulatedPrefect
from bench.day_runs import Pace
from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.feeds.events import PREFIX
from prefect_exporter.moments import DAY, MINUTE, micros, moment

_MINUTES_A_DAY = DAY // MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class EvenPace(Pace):
    """As many runs in one minute as in any other, since ever."""

    def ended_by(self, minute: int) -> int:
        """Return how many flow runs end before a minute, counted from 1970."""
        return self.flow_runs * minute // _MINUTES_A_DAY


class _AnyOf(msgspec.Struct, frozen=True):
    any_: tuple[UUID, ...] = ()


class _TypeOf(msgspec.Struct, frozen=True):
    any_: tuple[str, ...] = ()


class _Bounds(msgspec.Struct, frozen=True):
    after_: datetime | None = None
    before_: datetime | None = None


class _States(msgspec.Struct, frozen=True):
    type: _TypeOf = _TypeOf()


class _Runs(msgspec.Struct, frozen=True):
    """The conditions of a request for runs, flows or deployments."""

    id: _AnyOf = _AnyOf()
    deployment_id: _AnyOf = _AnyOf()
    end_time: _Bounds | None = None
    start_time: _Bounds | None = None
    next_scheduled_start_time: _Bounds | None = None
    state: _States = _States()


class _Named(msgspec.Struct, frozen=True):
    prefix: tuple[str, ...] = ()


class _Occurred(msgspec.Struct, frozen=True):
    since: datetime | None = None


class _Events(msgspec.Struct, frozen=True):
    occurred: _Occurred = _Occurred()
    event: _Named = _Named()


class Asked(msgspec.Struct, frozen=True):
    """The body of a request, as far as it is understood here."""

    flow_runs: _Runs | None = None
    task_runs: _Runs | None = None
    flows: _Runs | None = None
    deployments: _Runs | None = None
    filter: _Events = _Events()
    offset: int = 0
    limit: int = 200


class _Page(msgspec.Struct, frozen=True):
    rows: msgspec.Raw
    full: bool


_ASKED = msgspec.json.Decoder(Asked)
_PAGE = msgspec.json.Decoder(_Page)
_LISTS = {"flows", "deployments", "count_flow_runs", "count_task_runs"}
_SINGLE = {"admin/version": "version", "ready": "ready"}


def question(  # noqa: PLR0911  # one for each route
    path: str, asked: Asked, token: str = ""
) -> Question:
    """Return what a request to ``/api/<path>`` asks of a simulated Prefect.

    Args:
        path: Without a slash at the beginning.
        asked: Its body.
        token: Of a page of events: from when on, in microseconds since 1970, and the offset.
    """
    match path.split("/"):
        case [("flow_runs" | "task_runs") as what, "filter" | "count"]:
            route = what if path.endswith("filter") else f"count_{what}"
            return Question(
                route, where=_where(asked, what), offset=asked.offset, limit=asked.limit
            )
        case ["events", "filter", "next"]:
            since, _, offset = token.partition(".")
            return Question("events", since=moment(int(since)), offset=int(offset), limit=50)
        case ["events", "filter"] if asked.filter.event.prefix == (PREFIX,):
            return Question("events", since=asked.filter.occurred.since, limit=asked.limit)
        case ["flows", "filter"]:
            return Question("flows", ids=asked.flows.id.any_ if asked.flows else ())
        case ["deployments", "filter"] if asked.deployments:
            return Question("deployments", ids=asked.deployments.id.any_)
        case ["deployments", "filter"]:
            return Question("deployment_page", offset=asked.offset, limit=asked.limit)
        case ["work_pools", _, "workers", "filter"]:
            return Question("workers")
        case ["work_pools" | "work_queues" as what, "filter"]:
            return Question(what)
        case _:
            return Question(_SINGLE.get(path, "other_events" if "events" in path else "other"))


def reply(prefect: SimulatedPrefect, asked: Question) -> bytes:
    """Return the JSON that Prefect's REST API would give."""
    answer = prefect.answer(asked)
    if asked.route in _LISTS or asked.route in _SINGLE.values():
        return answer
    page = _PAGE.decode(answer)
    if not asked.route.endswith("events"):
        return bytes(page.rows)
    more = b"null"
    if page.full and asked.since is not None:
        token = f"{micros(asked.since)}.{asked.offset + asked.limit}"
        more = b'"http://prefect/events/filter/next?page-token=%b"' % token.encode()
    return b'{"events":%b,"total":0,"next_page":%b}' % (page.rows, more)


def create_app(workspaces: int, deployments: int, flow_runs: int) -> Starlette:
    """Return workspaces at ``/<number>/api``; each has as many deployments and runs a day."""
    fleet = [
        SimulatedPrefect(EvenPace(flow_runs=flow_runs, deployments=deployments, seed=number))
        for number in range(workspaces)
    ]

    async def answer(request: Request) -> Response:
        path = request.path_params["path"]
        if path == "events/count-by/event":
            return _json(b"[]")
        asked = _ASKED.decode(await request.body() or b"{}")
        wanted = question(path, asked, request.query_params.get("page-token", ""))
        await asyncio.sleep(answer_seconds(wanted.route))
        wanted = msgspec.structs.replace(wanted, now_us=time.time_ns() // 1000)
        return _json(reply(fleet[request.path_params["workspace"]], wanted))

    return Starlette(
        routes=[Route("/{workspace:int}/api/{path:path}", answer, methods=["GET", "POST"])]
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _where(asked: Asked, what: str) -> RunFilter:
    runs = (asked.flow_runs if what == "flow_runs" else asked.task_runs) or _Runs()
    of = asked.flow_runs if what == "task_runs" else None
    return RunFilter(
        ended=_interval(runs.end_time),
        started=_interval(runs.start_time),
        due=_interval(runs.next_scheduled_start_time),
        state_types=runs.state.type.any_,
        ids=runs.id.any_,
        deployment_ids=runs.deployment_id.any_,
        of=None if of is None else RunFilter(),
    )


def _interval(bounds: _Bounds | None) -> Interval | None:
    return None if bounds is None else Interval(bounds.after_, bounds.before_)


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser()
    for name in ("--port", "--workspaces", "--deployments", "--flow-runs"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    app = create_app(arguments.workspaces, arguments.deployments, arguments.flow_runs)
    uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
