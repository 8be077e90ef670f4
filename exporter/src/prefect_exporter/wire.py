"""The fields that we read of Prefect's answers, and no others; what is new there is skipped.

Shapes are those of Prefect 3.8's REST API. User data (parameters, context, messages) is never
decoded, so it can reach neither a label nor a log line.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

# With a zone, as Prefect writes them; without one, two times could not be compared.
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Starts: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class State(msgspec.Struct, frozen=True):
    """The current state of a run."""

    type: str
    name: str
    timestamp: Moment


class FlowRun(msgspec.Struct, frozen=True):
    """One row of ``POST /flow_runs/filter``; ``total_run_time`` is in seconds."""

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
    start_time: Moment | None = None
    end_time: Moment | None = None


class Flow(msgspec.Struct, frozen=True):
    """One row of ``POST /flows/filter``."""

    id: UUID
    name: str


class Deployment(msgspec.Struct, frozen=True):
    """One row of ``POST /deployments/filter``; its name is unique only within its flow."""

    id: UUID
    name: str
    flow_id: UUID


class EventState(msgspec.Struct, frozen=True):
    """A state as an event's payload has it."""

    type: str
    name: str | None = None


class EventPayload(msgspec.Struct, frozen=True):
    """The transition that an event tells of; ``initial_state`` is None for a run's first state."""

    initial_state: EventState | None = None
    validated_state: EventState | None = None


class Event(msgspec.Struct, frozen=True):
    """A state change of a flow run; one that says nothing of the kind has only its time."""

    occurred: Moment
    resource: dict[str, str | None] = {}
    related: list[dict[str, str | None]] = []
    payload: EventPayload = EventPayload()


class EventRow(msgspec.Struct, frozen=True):
    """One row of ``POST /events/filter``: all but its time is whatever its sender wrote."""

    occurred: Moment
    resource: msgspec.Raw = msgspec.Raw(b"null")
    related: msgspec.Raw = msgspec.Raw(b"null")
    payload: msgspec.Raw = msgspec.Raw(b"null")

    def event(self) -> Event:
        """Return what it tells, with nothing of the answer's bytes in it."""
        try:
            resource = _RESOURCE.decode(self.resource)
            related = _RELATED.decode(self.related)
            return Event(self.occurred, resource, related, _PAYLOAD.decode(self.payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Event(self.occurred)


class EventRows(msgspec.Struct, frozen=True):
    """One answer of ``POST /events/filter``; ``next_page`` is an address with a page token."""

    events: list[EventRow]
    next_page: str | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.events)


_RESOURCE = msgspec.json.Decoder(dict[str, str | None])
_RELATED = msgspec.json.Decoder(list[dict[str, str | None]])
_PAYLOAD = msgspec.json.Decoder(EventPayload)
