"""The fields that we read of Prefect's answers, and no others; what is new there is skipped.

Shapes are those of Prefect 3.8's REST API. User data (parameters, context, messages) is never
decoded, so it can reach neither a label nor a log line; only ``FlowRunRecord`` and ``ToldLog``
have a message.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

# With a zone, as Prefect writes them; without one, two times could not be compared.
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Starts: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Slots: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class State(msgspec.Struct, frozen=True):
    """The current state of a run."""

    type: str
    name: str
    timestamp: Moment


class FlowRunLabels(msgspec.Struct, frozen=True):
    """What instrumentation has written into a flow run's labels; the others are the user's."""

    traceparent: str | None = msgspec.field(name="__OTEL_TRACEPARENT", default=None)


class SpanLabels(msgspec.Struct, frozen=True):
    """What instrumentation has written there of the run's span, unread; b"" where it has not."""

    traceparent: msgspec.Raw = msgspec.field(name="__OTEL_TRACEPARENT", default=msgspec.Raw())
    parent_span_id: msgspec.Raw = msgspec.field(name="__OTEL_PARENT_SPAN_ID", default=msgspec.Raw())
    span_ended: msgspec.Raw = msgspec.field(name="__OTEL_SPAN_ENDED", default=msgspec.Raw())
    correlation_id: msgspec.Raw = msgspec.field(name="__CORRELATION_ID", default=msgspec.Raw())

    @property
    def has_ended(self) -> bool:
        """Whether the span has arrived; a run that starts again says "" to that."""
        return bytes(self.span_ended) not in (b"", b'""')


class FlowRun(msgspec.Struct, frozen=True):
    """One row of ``POST /flow_runs/filter``; ``total_run_time`` is in seconds.

    ``labels`` hold whatever anybody wrote there, so they are decoded apart from their row.
    """

    id: UUID
    flow_id: UUID
    run_count: Starts
    total_run_time: float
    state_type: str | None = None
    state_name: str | None = None
    state: State | None = None
    deployment_id: UUID | None = None
    parent_task_run_id: UUID | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    expected_start_time: Moment | None = None
    next_scheduled_start_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    labels: msgspec.Raw = msgspec.Raw(b"null")

    def __post_init__(self) -> None:
        """Let go of the answer's bytes, which `msgspec.Raw` would keep as long as the row."""
        msgspec.structs.force_setattr(self, "labels", self.labels.copy())

    @property
    def traceparent(self) -> str | None:
        """The trace that the run is part of, as its labels have it: not to be trusted."""
        try:
            labels = _LABELS.decode(self.labels)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return labels.traceparent if labels else None

    @property
    def span_labels(self) -> SpanLabels:
        """What its labels have of its span: not to be trusted."""
        try:
            return _SPAN_LABELS.decode(self.labels) or SpanLabels()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return SpanLabels()


class StateDetails(msgspec.Struct, frozen=True):
    """The details of a flow run's state; whoever set it may have been in a span."""

    traceparent: str | None = None


class StateRecord(State, frozen=True):
    """One row of ``GET /flow_run_states/``: a state that a flow run is or was in."""

    message: str | None = None
    state_details: StateDetails | None = None


class FlowRunRecord(FlowRun, frozen=True):
    """The answer of ``GET /flow_runs/{id}``: what a run's span tells of it."""

    name: str = ""
    tags: list[str] = []
    state: StateRecord | None = None


class TaskStateDetails(msgspec.Struct, frozen=True):
    """The details of a task run's state; ``child_flow_run_id`` marks a subflow's placeholder."""

    child_flow_run_id: UUID | None = None


class TaskState(msgspec.Struct, frozen=True):
    """The current state of a task run."""

    state_details: TaskStateDetails = TaskStateDetails()


class TaskRun(msgspec.Struct, frozen=True):
    """One row of ``POST /task_runs/filter``; ``total_run_time`` is in seconds."""

    id: UUID
    task_key: str
    run_count: Starts
    total_run_time: float
    flow_run_id: UUID | None = None
    state: TaskState | None = None
    state_type: str | None = None
    state_name: str | None = None
    expected_start_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    tags: list[str] = []


class ToldLog(msgspec.Struct, frozen=True):
    """One row of ``POST /logs/filter``; its message may hold anything."""

    name: str
    level: int
    message: str
    timestamp: Moment
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class Flow(msgspec.Struct, frozen=True):
    """One row of ``POST /flows/filter``."""

    id: UUID
    name: str
    tags: list[str] = []


class Timing(msgspec.Struct, frozen=True):
    """When a schedule is due: by ``interval`` from its anchor, by cron, or by RRULE.

    An interval is in seconds; one of months, which some servers have, is a text like ``P1M``.
    """

    interval: float | str | None = None
    anchor_date: Moment | None = None
    cron: str | None = None
    day_or: bool = True
    rrule: str | None = None
    timezone: str | None = None


class Schedule(msgspec.Struct, frozen=True):
    """One schedule of a deployment."""

    schedule: Timing
    active: bool = True


class ConcurrencyLimit(msgspec.Struct, frozen=True):
    """One row of ``POST /v2/concurrency_limits/filter``, and the limit of a deployment.

    A tag's limit is called ``tag:<tag>``, a deployment's ``deployment:<id>``.
    """

    name: str
    limit: Slots
    active_slots: float
    active: bool = True


class Deployment(msgspec.Struct, frozen=True):
    """One row of ``POST /deployments/filter``; its name is unique only within its flow."""

    id: UUID
    name: str
    flow_id: UUID
    created: Moment | None = None
    tags: list[str] = []
    paused: bool = False
    status: str | None = None
    schedules: list[Schedule] = []
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    global_concurrency_limit: ConcurrencyLimit | None = None


class WorkPool(msgspec.Struct, frozen=True):
    """One row of ``POST /work_pools/filter``; its job template is not decoded.

    ``active_slots`` is None without a limit.
    """

    name: str
    type: str
    is_paused: bool = False
    status: str | None = None
    concurrency_limit: Slots | None = None
    active_slots: Slots | None = None


class WorkQueue(msgspec.Struct, frozen=True):
    """One row of ``POST /work_queues/filter``; ``active_slots`` is None without a limit."""

    name: str
    work_pool_name: str | None = None
    is_paused: bool = False
    status: str | None = None
    priority: Slots | None = None
    concurrency_limit: Slots | None = None
    active_slots: Slots | None = None
    last_polled: Moment | None = None


class Worker(msgspec.Struct, frozen=True):
    """One row of ``POST /work_pools/{name}/workers/filter``."""

    name: str
    status: str | None = None
    last_heartbeat_time: Moment | None = None


class TagLimit(msgspec.Struct, frozen=True):
    """One row of ``POST /concurrency_limits/filter``; its slots are the ids of task runs."""

    tag: str
    concurrency_limit: Slots
    active_slots: list[UUID] = []


class Automation(msgspec.Struct, frozen=True):
    """One row of ``POST /automations/filter``."""

    id: UUID
    name: str
    enabled: bool = True


class EventCount(msgspec.Struct, frozen=True):
    """One row of ``POST /events/count-by/event``; ``value`` is the event's name."""

    value: str
    count: Annotated[int, msgspec.Meta(ge=0)]


class EventState(msgspec.Struct, frozen=True):
    """A state as an event's payload has it."""

    type: str
    name: str | None = None


class EventPayload(msgspec.Struct, frozen=True):
    """The transition that an event tells of; ``initial_state`` is None for a run's first state."""

    initial_state: EventState | None = None
    validated_state: EventState | None = None


class Event(msgspec.Struct, frozen=True):
    """What an event tells; one that is no state change has an empty payload.

    ``occurred`` is by its sender's clock, ``received`` by the server's.
    """

    occurred: Moment
    resource: dict[str, str | None] = {}
    related: list[dict[str, str | None]] = []
    payload: EventPayload = EventPayload()
    id: UUID | None = None
    name: str = ""
    received: Moment | None = None


class EventRow(msgspec.Struct, frozen=True):
    """One row of ``POST /events/filter``: all but its time is whatever its sender wrote."""

    occurred: Moment
    id: UUID | None = None
    event: str = ""
    received: Moment | None = None
    resource: msgspec.Raw = msgspec.Raw(b"null")
    related: msgspec.Raw = msgspec.Raw(b"null")
    payload: msgspec.Raw = msgspec.Raw(b"null")

    def told(self) -> Event:
        """Return what it tells, with nothing of the answer's bytes in it."""
        try:
            resource = _RESOURCE.decode(self.resource)
            related = _RELATED.decode(self.related)
            payload = _PAYLOAD.decode(self.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Event(self.occurred, id=self.id, name=self.event, received=self.received)
        return Event(self.occurred, resource, related, payload, self.id, self.event, self.received)


class EventRows(msgspec.Struct, frozen=True):
    """One answer of ``POST /events/filter``; ``next_page`` is an address with a page token."""

    events: list[EventRow]
    next_page: str | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.events)


_LABELS = msgspec.json.Decoder(FlowRunLabels | None)
_SPAN_LABELS = msgspec.json.Decoder(SpanLabels | None)
_RESOURCE = msgspec.json.Decoder(dict[str, str | None])
_RELATED = msgspec.json.Decoder(list[dict[str, str | None]])
_PAYLOAD = msgspec.json.Decoder(EventPayload)
