"""Runs of a job, by the API that dbt Cloud has: https://docs.getdbt.com/dbt-cloud/api-v2.

It keeps the cause that a run was started with, so a run of ours is known again by any process.
"""

from __future__ import annotations

import re

import msgspec

from trigger.jobs.asking import Asking, said
from trigger.jobs.errors import Doubt, Refused, Unavailable
from trigger.jobs.model import Blame, Job, Phase

_GONE = frozenset({400, 404, 409})
_PHASES = {
    1: Phase.QUEUED,
    2: Phase.QUEUED,
    3: Phase.RUNNING,
    10: Phase.SUCCEEDED,
    20: Phase.FAILED,
    30: Phase.CANCELLED,
}
_BLAMES = (
    (re.compile(r"\b(Compilation|Parsing) Error\b"), Blame.CODE),
    (re.compile(r"\bFailure in (unit_)?test\b"), Blame.DATA),
    (re.compile(r"\b(Env var required|Could not find profile|Credentials)\b"), Blame.SETTINGS),
)
"""What dbt says where the cause is not the warehouse."""

_RECENT = 20


class _Trigger(msgspec.Struct):
    cause: str | None = None


class _Run(msgspec.Struct):
    id: int
    status: int
    status_message: str | None = None
    trigger: _Trigger | None = None


class _Answer(msgspec.Struct):
    data: _Run


class _Answers(msgspec.Struct):
    data: list[_Run]


class DbtCloud:
    """The runs of one job.

    Args:
        asking: The API.
        account: The account's number.
        job: The job's number.
    """

    name = "dbt-cloud"

    def __init__(self, asking: Asking, account: int, job: int) -> None:
        self._asking = asking
        self._account = account
        self._job = job

    @property
    def page(self) -> str:
        """Where its runs are looked at."""
        return f"{self._asking.address}/deploy/{self._account}/jobs/{self._job}"

    def newest(self, cause: str) -> Job | None:
        """Return the newest of the job's latest runs with that cause."""
        found = self._asking.get(
            _Answers,
            f"{self._api}/runs/",
            job_definition_id=self._job,
            include_related='["trigger"]',
            order_by="-id",
            limit=_RECENT,
        )
        runs = (self._read(each) for each in found.data)
        return next((each for each in runs if each.cause == cause), None)

    def start(self, cause: str) -> Job:
        """Start a run."""
        path = f"{self._api}/jobs/{self._job}/run/"
        return self._read(self._asking.post(_Answer, path, {"cause": cause}).data)

    def look(self, job_id: str) -> Job:
        """Return a run as it is now."""
        path = f"{self._api}/runs/{job_id}/"
        return self._read(self._asking.get(_Answer, path, include_related='["trigger"]').data)

    def cancel(self, job_id: str) -> None:
        """Have a run stopped; one that has ended stays as it is."""
        try:
            self._asking.post(_Answer, f"{self._api}/runs/{job_id}/cancel/", {})
        except Refused as error:
            if error.status not in _GONE:
                raise

    @property
    def _api(self) -> str:
        return f"/api/v2/accounts/{self._account}"

    def _read(self, run: _Run) -> Job:
        if run.status not in _PHASES:
            reason = f"an unknown status {run.status}"
            raise Unavailable(self.name, reason, doubt=Doubt.ANSWERED)
        message = said(run.status_message)
        blames = (blame for pattern, blame in _BLAMES if pattern.search(message))
        return Job(
            id=str(run.id),
            phase=_PHASES[run.status],
            cause=run.trigger.cause if run.trigger else None,
            said=message,
            blame=next(blames, Blame.SYSTEM),
        )
