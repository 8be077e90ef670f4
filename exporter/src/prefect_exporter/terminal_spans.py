"""The spans of flow runs whose process was killed before it could send them. Pure.

Instrumentation writes into a run's labels which span it begins, so that the span can be told from
the server's record. It is told only where nothing says that the run, or its runner, has sent it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
import structlog

from prefect_exporter.labels import TERMINAL
from prefect_exporter.moments import micros
from prefect_exporter.traces import Trace, trace_of
from prefect_exporter.wire import FlowRun, FlowRunRecord, StateRecord

Key: TypeAlias = tuple[UUID, int]
Attributes: TypeAlias = Mapping[str, str | int | Sequence[str]]

RESULTS = ("sent", "failed", "own_span", "changed", "dropped")

MOST_UNSENT = 1000
# Prefect may be away for a while; a span that comes later than this is looked at by nobody.
GIVE_UP_SECONDS = 3600.0
AGAIN_SECONDS = 15.0

MOST_TEXT = 256
MOST_MESSAGE = 500
MOST_TAGS = 32

# Error type and category by state type, in the words of prefect_instrumentation.
_ERRORS = {
    "CRASHED": ("prefect.Crashed", "infrastructure"),
    "CANCELLED": ("prefect.Cancelled", "cancelled"),
}
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_SAMPLED = 1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OwnSpan:
    """The span that a run began itself.

    Args:
        parent_id: "" for a root.
        correlation_id: "" where there is none.
    """

    trace: Trace
    parent_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class TerminalSpan:
    """A span to send; its status is an error, with the state's message.

    Args:
        consumer: Whether a deployment's run, which somebody asked for by the server's queue.
        event: The attributes of the state's event, named *state_name* as the state is.
    """

    own: OwnSpan
    name: str
    consumer: bool
    start_us: int
    end_us: int
    message: str
    attributes: Attributes
    state_name: str
    event: Attributes


def unsent_span(run: FlowRun) -> OwnSpan | None:
    """Return the span that a run began, unless the run's row says that it need not be told.

    The label of the parent is the run's own; without it the traceparent is its creator's.
    """
    if run.state_type not in _ERRORS or run.start_time is None or run.end_time is None:
        return None
    labels = run.span_labels
    traceparent, parent_id = _text(labels.traceparent), _text(labels.parent_span_id)
    trace = trace_of(traceparent)
    if trace is None or not int((traceparent or "")[-2:], 16) & _SAMPLED or labels.has_ended:
        return None
    known = parent_id == "" or (parent_id and _SPAN_ID.fullmatch(parent_id))
    if not known or parent_id in (None, trace.span_id):
        return None
    correlation_id = _text(labels.correlation_id) or ""
    valid = _CORRELATION_ID.fullmatch(correlation_id)
    return OwnSpan(trace, parent_id, correlation_id if valid else "")


def is_sent(span_id: str, states: Sequence[StateRecord]) -> bool:
    """Return whether a run's states, oldest first, say that its process ended the span itself.

    A terminal state that an engine sets carries the span. Where a run ended or was suspended
    before, and has not begun again since, the span was ended then: what ended now had no process.
    """
    if any(state.type in TERMINAL and _span_of(state) == span_id for state in states):
        return True
    begun = max((n for n, state in enumerate(states) if state.type == "RUNNING"), default=-1)
    return any(
        state.type in TERMINAL or state.name == "Suspended" for state in states[begun + 1 : -1]
    )


def terminal_span(run: FlowRunRecord, own: OwnSpan, flow: str, deployment: str) -> TerminalSpan:
    """Return what a run's record tells of the span that it began."""
    state_type, state_name = run.state_type or "", clean(run.state_name or "")
    message = clean((run.state and run.state.message) or "", MOST_MESSAGE)
    error_type, category = _ERRORS[state_type]
    texts = {
        "prefect.run.type": "flow",
        "prefect.flow.id": str(run.flow_id),
        "prefect.flow.name": flow,
        "prefect.flow_run.id": str(run.id),
        "prefect.flow_run.name": run.name,
        "prefect.deployment.id": str(run.deployment_id or ""),
        "prefect.deployment.name": deployment,
        "prefect.work_pool.name": run.work_pool_name or "",
        "prefect.work_queue.name": run.work_queue_name or "",
        "prefect.state.type": state_type,
        "prefect.state.name": state_name,
        "error.type": error_type,
        "prefect.error.category": category,
        "correlation_id": own.correlation_id,
        "prefect.span.origin": "server_record",
    }
    attributes: dict[str, str | int | Sequence[str]] = {
        name: clean(text) for name, text in texts.items() if text
    }
    attributes["prefect.run.count"] = run.run_count
    if run.tags:
        attributes["prefect.tags"] = sorted(clean(tag) for tag in run.tags)[:MOST_TAGS]
    event = {"prefect.state.type": state_type, "prefect.state.message": message}
    start_us = _since_1970(run.start_time)
    return TerminalSpan(
        own,
        name=f"flow {clean(flow)}",
        consumer=run.deployment_id is not None,
        start_us=start_us,
        # Two machines' clocks have told them.
        end_us=max(_since_1970(run.end_time), start_us),
        message=message,
        attributes=attributes,
        state_name=state_name,
        event={name: text for name, text in event.items() if text},
    )


def clean(text: str, most: int = MOST_TEXT) -> str:
    """Return a text that any encoder takes, of so many characters at most."""
    return text[:most].encode(errors="replace").decode()


def _text(label: msgspec.Raw) -> str | None:
    """Return a label that is a text; None for any other, and where there is none."""
    try:
        return msgspec.json.decode(label, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _span_of(state: StateRecord) -> str | None:
    trace = trace_of(state.state_details.traceparent) if state.state_details else None
    return trace.span_id if trace else None


def _since_1970(at: datetime | None) -> int:
    return max(micros(at), 0) if at else 0


@dataclass(slots=True)
class _Held:
    noticed: float
    due: float


class Unsent:
    """The runs of one target whose span may have to be told, and what became of the others.

    ``results`` counts them by ``RESULTS``. Times are seconds that only rise.
    """

    def __init__(self) -> None:
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self._held: dict[Key, _Held] = {}
        self._failed = False

    def offer(self, runs: Iterable[FlowRun], now: float, due: float) -> None:
        """Hold those of *runs* that have just ended and lack their span; never raise.

        Beyond ``MOST_UNSENT`` they are dropped.
        """
        try:
            keys = [key_of(run) for run in runs if unsent_span(run)]
        except Exception:  # noqa: BLE001 - a defect must not keep a run from being counted
            if not self._failed:
                _log.exception("terminal_spans.not_offered")
            self._failed = True
            return
        for key in keys:
            if key not in self._held and len(self._held) >= MOST_UNSENT:
                self.results["dropped"] += 1
            else:
                self._held.setdefault(key, _Held(now, due))

    def due(self, now: float) -> list[Key]:
        """Return those to be decided on now, oldest first."""
        return [key for key, held in self._held.items() if held.due <= now]

    def decided(self, key: Key, result: str | None = None) -> None:
        """Let go of one; *result* counts it."""
        del self._held[key]
        if result is not None:
            self.results[result] += 1

    def postpone(self, key: Key, now: float) -> None:
        """Ask for one again a little later, behind the others; after an hour drop it."""
        held = self._held.pop(key)
        if now - held.noticed > GIVE_UP_SECONDS:
            self.results["dropped"] += 1
        else:
            self._held[key] = _Held(held.noticed, now + AGAIN_SECONDS)


def key_of(run: FlowRun) -> Key:
    """Return what names a run's end: the run and the microsecond; 0 where it has not ended."""
    return run.id, micros(run.end_time) if run.end_time else 0
