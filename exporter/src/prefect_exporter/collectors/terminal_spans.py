"""Flow runs whose process was killed: their spans, sent from the server's record. Opt-in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FEED
from prefect_exporter.errors import Waiting
from prefect_exporter.feeds.events import TOLERANCE_US
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.settings import Settings
from prefect_exporter.terminal_spans import (
    Key,
    TerminalSpan,
    is_sent,
    key_of,
    terminal_span,
    unsent_span,
)
from prefect_exporter.wire import FlowRunRecord

# Two requests each; what is left waits for the next poll, so that the hundreds of runs of a lost
# machine do not use up the budget.
MOST_A_POLL = 20

Send: TypeAlias = Callable[[str, Sequence[TerminalSpan]], bool]
Verdict: TypeAlias = TerminalSpan | Literal["own_span", "changed"] | None


@dataclass(frozen=True, slots=True)
class TerminalSpans:
    """What became of the runs that ended without a span, since the exporter started.

    Args:
        results: Runs by result.
        truncated: Whether some that are due wait for the next poll.
    """

    results: Mapping[str, int]
    truncated: bool
    folded: int = 0


def _results(state: TerminalSpans) -> Samples:
    return (((result,), float(number)) for result, number in state.results.items())


class TerminalSpanCollector:
    """Decide on the runs that ended a while ago without a span, and send what they lack.

    Args:
        settings: How the exporter is set.
        send: Sends spans of a target, in a thread of its own, and returns whether they arrived.
    """

    name = "terminal_spans"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_exporter_terminal_spans_total",
            Kind.COUNTER,
            "Flow runs whose process may have been killed before it sent its span, by result.",
            ("result",),
            _results,
        ),
    )

    def __init__(self, settings: Settings, send: Send | None = None) -> None:
        self.interval_seconds = settings.poll_interval_seconds
        self._send = send or _ByOtlp()

    async def poll(self, context: Context, previous: TerminalSpans | None) -> TerminalSpans:
        """Decide on some, oldest first; a run that Prefect does not tell of waits."""
        unsent, failure = context.unsent, None
        due, spans = unsent.due(context.monotonic()), list[TerminalSpan]()
        for key in due[:MOST_A_POLL]:
            try:
                verdict = await _judge(context, key)
            except Exception as error:  # noqa: BLE001 - raised below
                unsent.postpone(key, context.monotonic())
                failure = error
                break
            if isinstance(verdict, TerminalSpan):
                # Sent at most once: a collector that does not answer may have taken it.
                unsent.decided(key)
                spans.append(verdict)
            else:
                unsent.decided(key, verdict)
        if spans:
            await self._deliver(context, spans)
        if failure is not None:
            raise failure
        return TerminalSpans(dict(unsent.results), truncated=len(due) > MOST_A_POLL)

    async def _deliver(self, context: Context, spans: Sequence[TerminalSpan]) -> None:
        arrived = False
        try:
            arrived = await _aside(partial(self._send, context.target, spans))
        finally:
            context.unsent.results["sent" if arrived else "failed"] += len(spans)


async def _judge(context: Context, key: Key) -> Verdict:
    """Read a run anew and return its span, or why there is none; None where it is not selected.

    Raises:
        Waiting: Its end is not in the ledger yet.
        ApiError: Prefect does not tell.
    """
    ledger = context.store.ledger
    if await context.store.run(ledger.unseen, context.target, FEED, [key], TOLERANCE_US):
        raise Waiting("waits until the run's end is counted")
    run = await context.api.flow_run(key[0])
    if run is None or key_of(run) != key:
        return "changed"
    own = unsent_span(run)
    if own is None:
        return "own_span" if run.span_labels.has_ended else "changed"
    if run.state is not None and is_sent(own.trace.span_id, [run.state]):
        return "own_span"
    if is_sent(own.trace.span_id, await context.api.flow_run_states(run.id)):
        return "own_span"
    flow, deployment = await _names(context, run)
    if not context.settings.selection.takes(flow, deployment, run.work_pool_name or ""):
        return None
    return terminal_span(run, own, flow, deployment)


async def _names(context: Context, run: FlowRunRecord) -> tuple[str, str]:
    flows = await context.directory.flows({run.flow_id})
    if run.deployment_id is None:
        return flows[run.flow_id], ""
    deployments = await context.directory.deployments({run.deployment_id})
    return flows[run.flow_id], deployments[run.deployment_id].name


class _ByOtlp:
    """Sends by OTLP; what that needs is imported with the first span."""

    def __init__(self) -> None:
        self._exporter: Send | None = None

    def __call__(self, target: str, spans: Sequence[TerminalSpan]) -> bool:
        if self._exporter is None:
            # OpenTelemetry is an extra, and costs time and memory that few need.
            from prefect_exporter.otlp import OtlpExporter  # noqa: PLC0415 - see above

            self._exporter = OtlpExporter()
        return self._exporter(target, spans)


async def _aside(call: Callable[[], bool]) -> bool:
    """Return what *call* returns, from a thread that the process does not wait for at its end."""
    answer: Future[bool] = Future()
    # From here on it is not cancelled with whoever waits for it.
    answer.set_running_or_notify_cancel()

    def work() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=work, name="otlp", daemon=True).start()
    return await asyncio.wrap_future(answer)
