"""The flow `nightly-orders`: one batch for each client, side by side, and a summary of all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import httpx
from prefect import flow, get_client, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.events.filters import EventFilter
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Crashed

from etl.artifacts import table
from etl.batch import client_batch
from etl.children import Limits, Seen, Verdict, judge
from etl.errors import EtlError
from etl.meters import RECOVERIES
from prefect_instrumentation import annotate

HEARTBEAT = "prefect.flow-run.heartbeat"
_POLL_SECONDS = 2.0
_STARTS = 2
_REFUSED = frozenset({400, 401, 403, 409, 422})
_SHOWN = 20
_CAUSE = 300
_COUNTS = ("rows", "accepted", "rejected", "lost")


class ClientsFailed(EtlError):
    """Some clients could not be loaded; all others were.

    Args:
        causes: What went wrong, by client.
        clients: How many there were.
    """

    def __init__(self, causes: Mapping[str, str], clients: int) -> None:
        shown = [f"{name}: {cause}" for name, cause in list(causes.items())[:_SHOWN]]
        more = [f"and {len(causes) - _SHOWN} more"] if len(causes) > _SHOWN else []
        super().__init__(
            f"{len(causes)} of {clients} clients failed: " + "; ".join([*shown, *more])
        )
        self.causes = dict(causes)
        self.clients = clients

    def __reduce__(self) -> tuple[type[ClientsFailed], tuple[dict[str, str], int]]:
        return type(self), (self.causes, self.clients)


@dataclass(frozen=True, slots=True)
class Child:
    """One client's batch in this night.

    Args:
        deployment: Of `client-batch`; empty for a run within this one's process.
        run: Its newest run; None where none could be started.
        starts: How often it was started.
        cause: Why it failed; empty while it did not.
        counts: What its run said of rows, by `_COUNTS`.
    """

    client: str
    deployment: str
    run: UUID | None = None
    starts: int = 0
    cause: str = ""
    counts: tuple[int, ...] = (0,) * len(_COUNTS)
    ended: bool = False


@flow(name="nightly-orders", timeout_seconds=6 * 3600)
def nightly_orders(
    clients: dict[str, list[str]], patience: float = 3600, silence: float = 600
) -> dict[str, str]:
    """Load what is new of all clients, and name those that could not be loaded.

    Args:
        clients: Deployments of `client-batch`, each with its clients; those of the deployment
            "" are loaded by this run's own process, one after the other.
        patience: Seconds that a client's run may take from its start. One that takes longer is
            set to Crashed, and started once more; so is one that crashed.
        silence: Seconds without a heartbeat after which a run counts as crashed.

    Returns:
        Each client with `completed`.

    Raises:
        ClientsFailed: Some could not be loaded.
        ValueError: *silence* is shorter than runs are silent.
    """
    limits = _limits(patience, silence)
    children = [Child(name, key) for key, names in clients.items() for name in dict.fromkeys(names)]
    ended = [*_side_by_side(children, limits), *_inline(children)]
    _tell(ended)
    causes = {child.client: child.cause for child in ended if child.cause}
    if causes:
        raise ClientsFailed(causes, len(ended))
    return {child.client: "completed" for child in ended}


def _limits(patience: float, silence: float) -> Limits:
    every = get_current_settings().flows.heartbeat_frequency
    if every is None:  # no heartbeats, so their absence says nothing
        return Limits(timedelta(seconds=patience), timedelta.max)
    if silence <= every:
        raise ValueError(
            f"silence is {silence:g} s, but runs send a heartbeat every {every} s: give more, or "
            "set PREFECT_FLOWS_HEARTBEAT_FREQUENCY (30 at least) here and for the workers"
        )
    return Limits(timedelta(seconds=patience), timedelta(seconds=silence))


def _inline(children: Iterable[Child]) -> list[Child]:
    return [_load_here(child) for child in children if not child.deployment]


def _load_here(child: Child) -> Child:
    state = client_batch(child.client, return_state=True)
    cause = "" if state.is_completed() else _cause(state.name, state.message)
    counts = child.counts
    if state.is_completed():
        summary = state.result()
        counts = tuple(summary[name] for name in _COUNTS)
    return replace(child, starts=1, cause=cause, counts=counts, ended=True)


def _side_by_side(children: Iterable[Child], limits: Limits) -> list[Child]:
    """Start all, then look after them until the last one has ended."""
    there = [_start(child) for child in children if child.deployment]
    with get_client(sync_client=True) as api:
        while not all(child.ended for child in there):
            time.sleep(_POLL_SECONDS)
            there = [_look_after(api, child, limits) for child in there]
    return there


def _start(child: Child) -> Child:
    """Start a client's run; the same one where this flow itself is tried again."""
    starts = child.starts + 1
    deployment = f"client-batch/{child.deployment}"
    try:
        run = run_deployment(
            deployment,
            parameters={"client": child.client},
            timeout=0,
            idempotency_key=f"{runtime.flow_run.id}:{deployment}:{child.client}:{starts}",
        )
    except ObjectNotFound:
        return replace(child, cause=f"there is no deployment {deployment}", ended=True)
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in _REFUSED:
            return _unknown(child, error)
        cause = _cause(f"{deployment} was refused", str(error))
        return replace(child, cause=cause, ended=True)
    except httpx.HTTPError as error:
        return _unknown(child, error)
    return replace(child, run=cast("FlowRun", run).id, starts=starts)


def _unknown(child: Child, error: httpx.HTTPError) -> Child:
    """Leave a client for the next look: the API may be away for a while; runs go on without it."""
    get_run_logger().warning("child.unknown", extra={"error": type(error).__name__})
    return child


def _look_after(api: SyncPrefectClient, child: Child, limits: Limits) -> Child:
    if child.ended:
        return child
    if child.run is None:
        return _start(child)
    now = datetime.now(UTC)
    try:
        run = api.read_flow_run(child.run)
        verdict = judge(_seen(api, run, now, limits), limits, now)
        if verdict is Verdict.WAIT:
            return child
        if verdict in {Verdict.SILENT, Verdict.SLOW}:
            _give_up(api, run, verdict)
            return child  # the next look says whether it had ended by itself meanwhile
    except httpx.HTTPError as error:
        return _unknown(child, error)
    return _conclude(child, run, crashed=verdict is Verdict.CRASHED)


def _seen(api: SyncPrefectClient, run: FlowRun, now: datetime, limits: Limits) -> Seen:
    """Return what is known of a run; heartbeats are only asked for when there ought to be some."""
    assert run.state is not None  # noqa: S101 - every run has one
    seen = Seen(run.state.type.value, run.state.timestamp)
    if seen.state != "RUNNING" or now - seen.since <= limits.silence:
        return seen
    beats = {
        "occurred": {"since": seen.since, "until": now},
        "event": {"name": [HEARTBEAT]},
        "resource": {"id": [f"prefect.flow-run.{run.id}"]},
    }
    page = api.read_events(EventFilter.model_validate(beats), limit=1)  # the newest
    return replace(seen, heartbeat=max((event.occurred for event in page.events), default=None))


def _give_up(api: SyncPrefectClient, run: FlowRun, verdict: Verdict) -> None:
    """Have Prefect say that a run has crashed; it refuses where the run has just ended."""
    get_run_logger().warning(
        "child.given_up", extra={"child_run": str(run.id), "verdict": verdict.value}
    )
    api.set_flow_run_state(run.id, Crashed(message=f"Given up by nightly-orders: {verdict}."))


def _conclude(child: Child, run: FlowRun, *, crashed: bool) -> Child:
    """Return how a client's run ended, or the client started once more where it crashed."""
    if crashed and child.starts < _STARTS:
        get_run_logger().warning("client.started_again", extra={"client": child.client})
        return _start(child)
    completed = run.state is not None and run.state.is_completed()
    if child.starts > 1:
        RECOVERIES.add(step="client", outcome="recovered" if completed else "failed")
    cause = "" if completed or run.state is None else _cause(run.state.name, run.state.message)
    counts = tuple(_count(run.labels.get(f"etl.{name}")) for name in _COUNTS)
    return replace(child, cause=cause, counts=counts, ended=True)


def _count(label: object) -> int:
    """Return a label as the number that it should be: anybody may write labels."""
    return label if isinstance(label, int) and label >= 0 else 0


def _cause(name: str | None, message: str | None) -> str:
    return f"{name or 'unknown'}: {' '.join((message or 'no message').split())}"[:_CAUSE]


def _tell(children: Sequence[Child]) -> None:
    header = ("client", *_COUNTS, "starts", "how it ended")
    rows = [
        (child.client, *child.counts, child.starts, child.cause or "completed")
        for child in children
    ]
    failed = sum(bool(child.cause) for child in children)
    words = f"{len(children) - failed} of {len(children)} clients were loaded."
    create_markdown_artifact(f"# The night\n\n{words}\n\n{table(header, rows)}\n", key="nightly")
    annotate(clients=len(children), clients_failed=failed)
