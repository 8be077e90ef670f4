"""What can go wrong with a job elsewhere, as one small tree; each has its category by its type.

`docs/errors.md` says how a category is found: here by a class that the built-in rules know. The
one of `JobDataWrong` is in `errors.toml`, which PREFECT_INSTRUMENTATION_ERROR_RULES may name.

JobError
├── Unavailable      no usable answer; asked again            upstream
├── StartUnknown     nobody can say whether a job was started upstream
├── Refused          credentials, addresses, what is asked    configuration
├── JobLate          no end within the time that it has       timeout
├── JobFailed        the job says that it failed              upstream
├── JobMisconfigured it says that its settings are wrong      configuration
├── JobCodeWrong     it says that its code is wrong           user_code
├── JobDataWrong     it says that its data are wrong          data
└── JobCancelled     somebody there has stopped it            cancelled
"""

from __future__ import annotations

from enum import Enum

from prefect.exceptions import CancelledRun, ConfigurationError, FailedRun

from trigger.jobs.model import Blame, Job, Phase


class Doubt(Enum):
    """Whether a request that got no good answer may have been carried out all the same."""

    NONE = "none"
    ANSWERED = "answered"
    """It failed over there; what it has done, it has done by now."""
    LOST = "lost"
    """It may still be under way over there."""


class JobError(Exception):
    """Anything that goes wrong with a job elsewhere.

    Args:
        system: Whose job it is, such as ``airbyte``.
        reason: One plain line; never holds a credential.
    """

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(system, reason)
        self.system = system
        self.reason = reason

    def __str__(self) -> str:
        """Say whose it is, and why."""
        return f"{self.system}: {self.reason}"


class Unavailable(JobError, ConnectionError):
    """No usable answer; the same may go well a little later.

    Args:
        status: The HTTP status; None where there was none.
        retry_after: Seconds for which the system asks to be left alone.
        doubt: Whether what was asked for may have happened.
    """

    def __init__(
        self,
        system: str,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float = 0.0,
        doubt: Doubt = Doubt.NONE,
    ) -> None:
        super().__init__(system, reason)
        self.status = status
        self.retry_after = retry_after
        self.doubt = doubt


class StartUnknown(JobError, ConnectionError):
    """The answer to the start was lost, and no job is to be seen; a second one would be a guess."""


class Refused(JobError, ConfigurationError):
    """The system does not do what it is asked for, and would not do it a second time.

    Args:
        status: The HTTP status.
    """

    def __init__(self, system: str, reason: str, *, status: int | None = None) -> None:
        super().__init__(system, reason)
        self.status = status


class JobLate(JobError, TimeoutError):
    """The job has not ended within the time that it has; it was cancelled."""


class JobFailed(JobError, FailedRun):
    """The job says that it failed."""


class JobMisconfigured(JobError, ConfigurationError):
    """The job says that its settings or credentials are wrong."""


class JobCodeWrong(JobError):
    """The job says that its code is wrong."""


class JobDataWrong(JobError):
    """The job says that what it read is not what it should be."""


class JobCancelled(JobError, CancelledRun):
    """Somebody over there has stopped the job."""


_OF = {
    Blame.SYSTEM: JobFailed,
    Blame.SETTINGS: JobMisconfigured,
    Blame.CODE: JobCodeWrong,
    Blame.DATA: JobDataWrong,
}


def verdict(system: str, job: Job) -> JobError | None:
    """Return the error that a job's end is; None for a good one."""
    said = f"job {job.id} {job.phase}" + (f": {job.said}" if job.said else "")
    match job.phase:
        case Phase.FAILED:
            return _OF[job.blame](system, said)
        case Phase.CANCELLED:
            return JobCancelled(system, said)
    return None
