"""What the service says of a run."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType
from prefect.utilities.urls import url_for
from pydantic import BaseModel, Field

from trigger import runs

_MAX_MESSAGE = 500


class Started(BaseModel):
    """A run that was asked for."""

    id: UUID
    status_url: str = Field(examples=["/runs/0b7a3f5c-7a56-4a3e-9c55-0a9d4c1f6f31"])
    correlation_id: str = Field(
        description="On every span and log line of the run.", examples=["ord-42"]
    )


class Links(BaseModel):
    """Where to go on from a run."""

    self: str
    cancel: str
    ui: str | None = Field(description="Prefect's page of the run, where it has pages.")


class Status(BaseModel):
    """How a run is doing."""

    id: UUID
    flow: str = Field(examples=["nightly-orders"])
    deployment: str = Field(examples=["nightly"])
    state: StateType = Field(description="In Prefect's words.", examples=["RUNNING"])
    state_name: str = Field(description="More exactly, such as TimedOut.", examples=["Running"])
    message: str | None = Field(None, description="Why it ended so; 500 characters at most.")
    started: datetime | None = None
    ended: datetime | None = None
    correlation_id: str
    links: Links

    @property
    def has_ended(self) -> bool:
        """Whether it stays as it is."""
        return self.state in TERMINAL_STATES


def started(run: FlowRun) -> Started:
    """Return what is said of a run that was asked for."""
    return Started(id=run.id, status_url=f"/runs/{run.id}", correlation_id=_correlation(run))


def status(run: FlowRun) -> Status:
    """Return what is said of a run that was looked at."""
    flow, _, deployment = str(run.labels.get(runs.DEPLOYMENT, "/")).partition("/")
    state = run.state
    message = state.message if state else None
    return Status(
        id=run.id,
        flow=flow,
        deployment=deployment,
        state=state.type if state else StateType.PENDING,
        state_name=(state.name if state else None) or "Pending",
        message=message[:_MAX_MESSAGE] if message else None,
        started=run.start_time,
        ended=run.end_time,
        correlation_id=_correlation(run),
        links=Links(self=f"/runs/{run.id}", cancel=f"/runs/{run.id}/cancel", ui=url_for(run)),
    )


def _correlation(run: FlowRun) -> str:
    return str(run.labels.get(runs.CORRELATION, ""))
