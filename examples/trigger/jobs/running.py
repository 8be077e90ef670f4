"""Follow a course at a real system: the only part of it that asks and waits."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from prefect_instrumentation import annotate, counter, error_context, record_io, traced
from trigger.jobs.course import Act, Cancel, Find, Heard, Look, Plan, Start, Wait, course
from trigger.jobs.errors import JobError, Unavailable
from trigger.jobs.model import Job, Patience, System

log = logging.getLogger("trigger.jobs")
ended_total = counter(
    "trigger_jobs_total", unit="{job}", description="Jobs elsewhere that were followed, by end."
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance.

    Args:
        now: Seconds, of a clock that only goes forward.
        sleep: Waits so many seconds.
        jitter: Gives numbers from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


@traced(name="remote job")
def run_job(system: System, cause: str, patience: Patience, clock: Clock | None = None) -> Job:
    """Have a system do a job, and return it once it has ended well.

    A job of this cause that is under way is joined, not doubled. Whatever stops this function also
    cancels the job: an error, a timeout of the flow, a cancelled run, SIGTERM.

    Args:
        system: Who does it.
        cause: Names the job: the same for the same piece of work, whatever process asks for it.
        patience: How long to wait for what.
        clock: The machine's by default.

    Raises:
        JobError: It has not ended well.
    """
    errand = _Errand(system, cause, clock or Clock())
    outcome = "stopped"
    try:
        with error_context(system=system.name, cause=cause):
            job = errand.run(patience)
        outcome = "succeeded"
    except JobError as error:
        outcome = type(error).__name__
        raise
    finally:
        ended_total.add(1, system=system.name, outcome=outcome)
        errand.tell()
    record_io(records=job.records, bytes=job.bytes)
    return job


class _Errand:
    """One course at one system, and what the span is to say of it."""

    def __init__(self, system: System, cause: str, clock: Clock) -> None:
        self._system = system
        self._cause = cause
        self._clock = clock
        self._job: Job | None = None
        self._looks = 0
        self._troubles = 0
        self._left: str | None = None

    def run(self, patience: Patience) -> Job:
        """Do what the course says, and tell it what came of it."""
        plan = Plan(self._system.name, self._cause, patience, self._clock.jitter)
        decisions = course(plan, self._clock.now())
        act = next(decisions)
        while True:
            try:
                said = self._try(act)
                act = decisions.send(Heard(self._clock.now(), said))
            except StopIteration as end:
                job: Job = end.value
                return job
            except BaseException as error:  # noqa: BLE001 - the course cleans up, and lets it go
                act = decisions.throw(error)

    def tell(self) -> None:
        """Say on the span, and in the log, what became of the job."""
        job = self._job
        facts: dict[str, object] = {
            "remote.system": self._system.name,
            "remote.url": self._system.page,
            "remote.cause": self._cause,
            "remote.looks": self._looks,
            "remote.troubles": self._troubles,
        }
        if job is not None:
            facts |= {"remote.job.id": job.id, "remote.job.status": job.phase.value}
        annotate(**facts)
        log.info("job.ended", extra=facts)
        if self._left:
            log.error("job.left", extra={"remote.system": self._system.name, "left": self._left})

    def _try(self, act: Act) -> Job | Unavailable | None:
        try:
            said = self._do(act)
        except Unavailable as trouble:
            self._troubles += 1
            log.warning("job.unanswered", extra={"act": type(act).__name__, "why": trouble.reason})
            return trouble
        if said is not None:
            self._job = said
        return said

    def _do(self, act: Act) -> Job | None:
        match act:
            case Wait(seconds):
                self._clock.sleep(seconds)
            case Find():
                return self._system.newest(self._cause)
            case Start():
                return self._system.start(self._cause)
            case Look(job_id):
                self._looks += 1
                return self._system.look(job_id)
            case Cancel(job_id):
                self._left = job_id
                self._system.cancel(job_id)
                self._left = None
        return None
