"""A night as it is seen from the outside: who asked, what Prefect has, where to ask more."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import httpx

from demo.api import ask
from pictures.asking import Ask

T = TypeVar("T")
Row = Mapping[str, Any]

FLOWS = ("client-batch", "nightly-orders", "replay-dead-letters")
"""The pipeline's."""

FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})

CLIENTS: Mapping[str, Sequence[str]] = {
    "retail": ["aster", "birch"],
    "wholesale": ["cedar"],
    "logistics": ["dahlia"],
}
"""The clients of each deployment of `client-batch`."""

BAD_DATA, GOOD, HANGING, KILLED = "aster", "birch", "cedar", "dahlia"
"""What becomes of each: too many rejected rows, nothing, a timeout, a worker that is killed."""

QUIET = "quiet"
"""The client of the run that somebody else asks for meanwhile."""

_PAGE = 200
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """Who asked for a run, and the run.

    Args:
        correlation_id: As the caller sent it.
        trace_id, span_id: Of the caller's own span, in hexadecimal.
        run_id: The flow run that came of it.
    """

    correlation_id: str
    trace_id: str
    span_id: str
    run_id: str = ""

    @classmethod
    def new(cls) -> Self:
        """Return one that was not sent yet."""
        return cls(f"night-{secrets.token_hex(8)}", secrets.token_hex(16), secrets.token_hex(8))

    @property
    def headers(self) -> Mapping[str, str]:
        """What the caller sends along."""
        trace = f"00-{self.trace_id}-{self.span_id}-01"
        return {"X-Correlation-ID": self.correlation_id, "traceparent": trace}

    def answered(self, run_id: str) -> Self:
        """Return the same with the run that the service has named."""
        return replace(self, run_id=run_id)


@dataclass(frozen=True, slots=True)
class Span:
    """One span, from whatever keeps them.

    Args:
        parent_id: "" for a root.
        attributes: By their names, values as the keeper has them.
    """

    span_id: str
    parent_id: str
    name: str
    attributes: Mapping[str, object]

    def __getitem__(self, name: str) -> str:
        """Return an attribute as text, "" where there is none."""
        return str(self.attributes.get(name, ""))


@dataclass(frozen=True, slots=True)
class Message:
    """What a team was told of one alert; *labels* are the alert's."""

    team: str
    status: str
    labels: Mapping[str, str]


class Night(Protocol):
    """Where a night that is over can be looked at."""

    @property
    def request(self) -> Request:
        """Who asked for it."""
        ...

    @property
    def neighbour(self) -> Request:
        """Who asked for another run meanwhile."""
        ...

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        ...

    def spans(self) -> Sequence[Span]:
        """Return the spans of the night's trace that have arrived."""
        ...

    def lines(self) -> Sequence[Row]:
        """Return the log lines of the service and the workers, as they were written."""
        ...

    def records(self) -> Sequence[Row]:
        """Return those that the collector has passed on, with the same keys."""
        ...

    def prometheus(self) -> Ask:
        """Return what asks Prometheus."""
        ...

    def messages(self) -> Sequence[Message]:
        """Return what on-call was told, in order."""
        ...

    def report(self) -> Any:  # noqa: ANN401 - JSON by its schema
        """Return the exporter's report of the last hour."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """A flow run as Prefect has it; *client* is "" where it has none."""

    id: str
    flow: str
    deployment: str
    client: str
    state: str
    state_type: str

    @property
    def name(self) -> str:
        """Tells people which one it is; of a client that was started twice both have it."""
        return " ".join(filter(None, (f"{self.flow}/{self.deployment}", self.client)))

    @property
    def was_killed(self) -> bool:
        """Whether it is the one that was killed: what it had not sent is lost with it."""
        return (self.client, self.state) == (KILLED, "Crashed")


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task run as Prefect has it; *task* is its task's name."""

    id: str
    flow: str
    flow_run_id: str
    task: str
    state: str
    state_type: str


def child_runs(client: httpx.Client, run_id: str) -> Sequence[Row]:
    """Return the flow runs that a flow run has started, the first one first."""
    below = {"parent_flow_run_id": {"any_": [run_id]}}
    rows = _all(client, "/flow_runs/filter", flow_runs=below)
    return sorted(rows, key=lambda row: str(row["created"]))


def runs(client: httpx.Client, *roots: str) -> Sequence[Run]:
    """Return these runs and those that they have started; without any, all of `FLOWS`."""
    if roots:
        rows = list(_all(client, "/flow_runs/filter", flow_runs={"id": {"any_": list(roots)}}))
        rows += [row for root in roots for row in child_runs(client, root)]
    else:
        rows = list(_all(client, "/flow_runs/filter", flows={"name": {"any_": list(FLOWS)}}))
    flows = {row["id"]: row["name"] for row in _all(client, "/flows/filter")}
    deployments = {row["id"]: row["name"] for row in _all(client, "/deployments/filter")}
    return [_run(row, flows, deployments) for row in rows]


def task_runs(client: httpx.Client, of: Sequence[Run]) -> Sequence[TaskRun]:
    """Return the task runs of flow runs, but for those that stand for subflows."""
    flows = {run.id: run.flow for run in of}
    wanted = {
        "flow_run_id": {"any_": list(flows)},
        "subflow_runs": {"exists_": False},
    }
    return [
        TaskRun(
            id=row["id"],
            flow=flows[row["flow_run_id"]],
            flow_run_id=row["flow_run_id"],
            task=re.sub(r"-[0-9a-f]{8}$", "", row["task_key"]),
            state=row["state_name"],
            state_type=row["state_type"],
        )
        for row in _all(client, "/task_runs/filter", task_runs=wanted)
    ]


def _run(row: Row, flows: Mapping[str, str], deployments: Mapping[str, str]) -> Run:
    return Run(
        id=row["id"],
        flow=flows[row["flow_id"]],
        deployment=deployments.get(row["deployment_id"], ""),
        client=row["parameters"].get("client", ""),
        state=row["state_name"],
        state_type=row["state_type"],
    )


def _all(client: httpx.Client, path: str, **filters: object) -> Sequence[Row]:
    found: list[Row] = []
    while True:
        page = ask(client, path, **filters, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


def soon(look: Callable[[], T], wanted: T | Callable[[T], bool], *, within: float = 90) -> T:
    """Return what *look* sees once it is *wanted*, else what it sees last after *within* seconds.

    Everything here arrives when it arrives: the caller asserts on what is returned.
    """
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if (wanted(seen) if callable(wanted) else seen == wanted) or time.monotonic() > deadline:
            return seen
        time.sleep(_LOOK_SECONDS)
