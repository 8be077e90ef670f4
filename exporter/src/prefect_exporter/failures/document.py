"""What ``/api/failures`` answers: groups and the newest failures, for programs.

Its shape is documented in docs/errors.md. Messages are redacted; names are as Prefect has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from prefect_exporter.failures import digests
from prefect_exporter.failures.model import Group, Recent
from prefect_exporter.failures.normalise import NORMALISER_VERSION
from prefect_exporter.failures.redaction import redact
from prefect_exporter.failures.trends import trend
from prefect_exporter.moments import moment
from prefect_exporter.ui_links import UiLinks

DOCUMENT_VERSION = 1
"""Of the shape; a change that breaks its readers raises it."""

MOST_MESSAGE = 512
"""Most characters of a message."""


class State(Protocol):
    """What is told of: ``collectors.failure_groups.FailureGroups``."""

    @property
    def groups(self) -> Sequence[Group]:
        """The most failures first."""
        ...

    @property
    def recent(self) -> Sequence[Recent]:
        """The newest first."""
        ...

    @property
    def since_us(self) -> int:
        """Where the window begins."""
        ...

    @property
    def until_us(self) -> int:
        """When it was looked at."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether there is more than was read."""
        ...


class TrendRow(msgspec.Struct, frozen=True):
    """Which way a group goes, by which test, and its p."""

    direction: str
    method: str
    p: float


class FlowRow(msgspec.Struct, frozen=True):
    """How many failures are of one flow or deployment."""

    subject: str
    count: int


class RunRow(msgspec.Struct, frozen=True):
    """A run, and its page."""

    id: str
    url: str


class GroupRow(msgspec.Struct, frozen=True):
    """Failures that are alike; *fingerprint* is that of spans and log lines, "" without one."""

    id: str
    version: int
    basis: str
    fingerprint: str
    category: str
    type: str
    pattern: str
    places: tuple[str, ...]
    count: int
    first_seen: str
    last_seen: str
    trend: TrendRow
    buckets: tuple[int, ...]
    flows: tuple[FlowRow, ...]
    examples: tuple[RunRow, ...]


class FailureRow(msgspec.Struct, frozen=True):
    """One failure."""

    run: RunRow
    name: str
    flow: str
    deployment: str
    state: str
    message: str
    ended: str
    group: str
    category: str


class FailuresRow(msgspec.Struct, frozen=True):
    """The whole: what failed in the window, which ends where it was last looked at."""

    schema_version: int
    generated: str
    target: str
    since: str
    until: str
    truncated: bool
    groups: tuple[GroupRow, ...]
    recent: tuple[FailureRow, ...]


def document(target: str, state: State, links: UiLinks, now: datetime) -> bytes:
    """Return the answer, as JSON.

    Args:
        target: Whose failures.
        state: What is known of them.
        links: Addresses of the target's pages.
        now: When it is asked for.
    """
    return msgspec.json.encode(
        FailuresRow(
            DOCUMENT_VERSION,
            now.isoformat(),
            target,
            _time(state.since_us),
            _time(state.until_us),
            state.truncated,
            tuple(_group(each, links) for each in state.groups),
            tuple(_failure(each, links) for each in state.recent),
        )
    )


def _group(group: Group, links: UiLinks) -> GroupRow:
    found = trend(group.buckets)
    signature = group.signature
    return GroupRow(
        id=signature.id,
        version=digests.VERSION if signature.fingerprint else NORMALISER_VERSION,
        basis=signature.basis,
        fingerprint=signature.fingerprint,
        category=signature.category,
        type=signature.type,
        pattern=redact(signature.pattern),
        places=signature.places,
        count=group.count,
        first_seen=_time(group.first_us),
        last_seen=_time(group.last_us),
        trend=TrendRow(found.direction, found.method, round(found.p, 6)),
        buckets=group.buckets,
        flows=tuple(FlowRow(name, count) for name, count in group.flows.items()),
        examples=tuple(_run(run_id, links) for run_id in group.examples),
    )


def _failure(recent: Recent, links: UiLinks) -> FailureRow:
    failed = recent.failed
    return FailureRow(
        run=_run(failed.run_id, links),
        name=failed.name,
        flow=failed.flow,
        deployment=failed.deployment,
        state=failed.state_name,
        message=redact(failed.message)[:MOST_MESSAGE],
        ended=_time(failed.ended_us),
        group=recent.signature.id,
        category=recent.signature.category,
    )


def _run(run_id: bytes, links: UiLinks) -> RunRow:
    key = UUID(bytes=run_id)
    return RunRow(str(key), links.flow_run(key))


def _time(at_us: int) -> str:
    return moment(at_us).isoformat()
