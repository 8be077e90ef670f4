"""Syncs of a connection, by the job API that Airbyte has: https://reference.airbyte.com/.

It keeps no cause with a job, and has one job of a connection at a time. So one that is under way
is joined, and is left alone where this process has not started it.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from trigger.jobs.asking import Asking, said
from trigger.jobs.errors import Doubt, Refused, Unavailable
from trigger.jobs.model import Blame, Job, Phase

_CONFLICT = 409
_GONE = frozenset({404, _CONFLICT})
_PHASES = {
    "pending": Phase.QUEUED,
    "running": Phase.RUNNING,
    "incomplete": Phase.RUNNING,
    "succeeded": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}
"""An incomplete job has lost an attempt, and is about to try again."""


class _Failure(msgspec.Struct, rename="camel"):
    failure_type: str = ""
    external_message: str = ""


class _Job(msgspec.Struct, rename="camel"):
    job_id: int
    status: str
    rows_synced: int | None = None
    bytes_synced: int | None = None
    failure: _Failure | None = None


class _Jobs(msgspec.Struct):
    data: list[_Job]


class Airbyte:
    """The syncs of one connection.

    Args:
        asking: The API.
        connection: Its id.
    """

    name = "airbyte"

    def __init__(self, asking: Asking, connection: str) -> None:
        self._asking = asking
        self._connection = connection

    @property
    def page(self) -> str:
        """Where its jobs are looked at."""
        return f"{self._asking.address}/connections/{self._connection}"

    def newest(self, cause: str) -> Job | None:
        """Return the connection's newest sync, whoever has started it."""
        found = self._asking.get(
            _Jobs,
            "/v1/jobs",
            connectionId=self._connection,
            jobType="sync",
            orderBy="createdAt|DESC",
            limit=1,
        )
        return self._read(found.data[0]) if found.data else None

    def start(self, cause: str) -> Job:
        """Start a sync, or join the one that has begun in between."""
        body = {"connectionId": self._connection, "jobType": "sync"}
        try:
            return replace(self._read(self._asking.post(_Job, "/v1/jobs", body)), cause=cause)
        except Refused as error:
            if error.status != _CONFLICT:
                raise
        running = self.newest(cause)
        if running is None or running.phase.is_over:
            raise Unavailable(self.name, "busy, with no job to be seen", status=_CONFLICT)
        return running

    def look(self, job_id: str) -> Job:
        """Return a sync as it is now."""
        return self._read(self._asking.get(_Job, f"/v1/jobs/{job_id}"))

    def cancel(self, job_id: str) -> None:
        """Have a sync stopped; one that has ended stays as it is."""
        try:
            self._asking.delete(f"/v1/jobs/{job_id}")
        except Refused as error:
            if error.status not in _GONE:
                raise

    def _read(self, job: _Job) -> Job:
        if job.status not in _PHASES:
            reason = f"an unknown status {said(job.status)!r}"
            raise Unavailable(self.name, reason, doubt=Doubt.ANSWERED)
        failure = job.failure or _Failure()
        is_setting = failure.failure_type == "config_error"
        return Job(
            id=str(job.job_id),
            phase=_PHASES[job.status],
            said=said(failure.external_message),
            blame=Blame.SETTINGS if is_setting else Blame.SYSTEM,
            records=job.rows_synced,
            bytes=job.bytes_synced,
        )
