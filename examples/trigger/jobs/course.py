"""The course of a job elsewhere, as decisions: nothing here asks, waits or knows the time.

`course` is a generator. It yields what to do next, and is sent what came of it and what time it
then was. Where the run around it is stopped, that error is thrown in, and it yields what is still
to be done before it lets it go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from trigger.jobs.errors import (
    Doubt,
    JobError,
    JobLate,
    Refused,
    StartUnknown,
    Unavailable,
    verdict,
)
from trigger.jobs.model import Job, Patience, Phase


@dataclass(frozen=True, slots=True)
class Find:
    """Ask for the newest job of this cause."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a job."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask how a job is doing."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Have a job stopped."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of an act.

    Args:
        now: In seconds, of a clock that only goes forward.
        said: The job, none, or why there was no answer.
    """

    now: float
    said: Job | Unavailable | None = None


Act: TypeAlias = Find | Start | Look | Cancel | Wait
Jitter: TypeAlias = Callable[[], float]
"""Gives numbers from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a course goes by.

    Args:
        system: Its name, for errors.
        cause: What the job is started with; a job that is there with it is this one.
    """

    system: str
    cause: str
    patience: Patience
    jitter: Jitter


def course(plan: Plan, now: float) -> Generator[Act, Heard, Job]:
    """Start a job unless it is there, follow it, and return it once it has ended well.

    Raises:
        JobError: It has not. What this course has started and has not ended is cancelled.
    """
    deadline = now + plan.patience.total
    heard = yield from _persist(plan, Find(), deadline)
    job = heard.said if isinstance(heard.said, Job) else None
    if job is None or not _joins(plan, job):
        heard = yield from _started(plan, job, deadline)
        assert isinstance(heard.said, Job)  # noqa: S101 - a start ends with a job
        job = heard.said
    job = yield from _followed(plan, job, heard.now, deadline)
    if error := verdict(plan.system, job):
        raise error
    return job


def pause(patience: Patience, tries: int, jitter: Jitter) -> float:
    """Return how long to wait after so many tries: half of it is certain, half is chance."""
    longest = min(patience.longest, patience.first * 2.0 ** min(tries, 30))
    return longest * (1 + jitter()) / 2


def _joins(plan: Plan, job: Job) -> bool:
    """Tell whether this job is taken for ours: it is under way, or it is surely ours and done."""
    return not job.phase.is_over or (job.phase is Phase.SUCCEEDED and job.cause == plan.cause)


def _started(plan: Plan, before: Job | None, deadline: float) -> Generator[Act, Heard, Heard]:
    """Start a job, once, whatever becomes of the answers."""
    tries = 0
    while True:
        heard = yield from _tried(plan, before)
        if not isinstance(heard.said, Unavailable):
            return heard
        yield from _rest(plan, tries, heard, deadline)
        tries += 1


def _tried(plan: Plan, before: Job | None) -> Generator[Act, Heard, Heard]:
    """Ask for a start once; an answer without a job means that there is surely none of ours."""
    try:
        heard = yield Start()
        if not isinstance(heard.said, Unavailable):
            return heard
        found = yield from _sought(plan, before, heard.said, heard.now)
    except Refused:
        raise
    except BaseException:  # between a request and its answer
        yield from _cancelled_stray(plan, before)
        raise
    return found or heard


def _sought(
    plan: Plan, before: Job | None, trouble: Unavailable, now: float
) -> Generator[Act, Heard, Heard | None]:
    """Return the job that was started although the answer was none; None if there is surely none.

    Raises:
        StartUnknown: None is to be seen, and it may still come.
    """
    if trouble.doubt is Doubt.NONE:
        return None
    until, tries = now + plan.patience.settle, 0
    while True:
        heard = yield Find()
        if found := _new(plan, before, heard):
            return Heard(heard.now, found)
        if trouble.doubt is Doubt.ANSWERED and not isinstance(heard.said, Unavailable):
            return None
        if heard.now >= until:
            why = f"the start got no answer ({trouble.reason}), and no job is to be seen"
            raise StartUnknown(plan.system, why) from trouble
        yield Wait(pause(plan.patience, tries, plan.jitter))
        tries += 1


def _new(plan: Plan, before: Job | None, heard: Heard) -> Job | None:
    """Return the job that was not there before, as ours."""
    if not isinstance(heard.said, Job) or (before is not None and heard.said.id == before.id):
        return None
    return replace(heard.said, cause=plan.cause)


def _followed(plan: Plan, job: Job, now: float, deadline: float) -> Generator[Act, Heard, Job]:
    """Look at a job until it has ended; where that is not waited for, cancel it."""
    tries = 0
    try:
        while not job.phase.is_over:
            left = _left(plan, job, deadline - now)
            yield Wait(min(pause(plan.patience, tries, plan.jitter), left))
            heard = yield from _persist(plan, Look(job.id), deadline)
            if isinstance(heard.said, Job):
                job = replace(heard.said, cause=job.cause)
            now, tries = heard.now, tries + 1
    except BaseException:
        yield from _cancelled(plan, job)
        raise
    return job


def _left(plan: Plan, job: Job, seconds: float) -> float:
    if seconds <= 0:
        why = f"job {job.id} {job.phase} after {plan.patience.total:g} s"
        raise JobLate(plan.system, why)
    return seconds


def _persist(plan: Plan, act: Find | Look, deadline: float) -> Generator[Act, Heard, Heard]:
    """Ask until there is an answer."""
    tries = 0
    while True:
        heard = yield act
        if not isinstance(heard.said, Unavailable):
            return heard
        yield from _rest(plan, tries, heard, deadline)
        tries += 1


def _rest(plan: Plan, tries: int, heard: Heard, deadline: float) -> Generator[Act, Heard, None]:
    """Wait after trouble, as long as the system asks for; raises `JobLate` where time is up."""
    assert isinstance(heard.said, Unavailable)  # noqa: S101 - nobody rests after an answer
    seconds = max(pause(plan.patience, tries, plan.jitter), heard.said.retry_after)
    if heard.now + seconds > deadline:
        why = f"no end within {plan.patience.total:g} s; at last {heard.said.reason}"
        raise JobLate(plan.system, why) from heard.said
    yield Wait(seconds)


def _cancelled_stray(plan: Plan, before: Job | None) -> Generator[Act, Heard, None]:
    """Cancel the job that may have been started while nobody heard the answer."""
    with suppress(JobError):
        heard = yield from _hurried(plan, Find())
        if found := _new(plan, before, heard):
            yield from _cancelled(plan, found)


def _cancelled(plan: Plan, job: Job) -> Generator[Act, Heard, None]:
    """Have a job stopped that is ours; what has gone wrong before is told, not what does now."""
    if not job.phase.is_over and job.cause == plan.cause:
        with suppress(JobError):
            yield from _hurried(plan, Cancel(job.id))


def _hurried(plan: Plan, act: Find | Cancel) -> Generator[Act, Heard, Heard]:
    """Ask until there is an answer, or the short time for it is over."""
    heard = yield act
    until, tries = heard.now + plan.patience.cancel, 0
    while isinstance(heard.said, Unavailable):
        seconds = max(pause(plan.patience, tries, plan.jitter), heard.said.retry_after)
        if heard.now + seconds > until:
            break
        yield Wait(seconds)
        heard = yield act
        tries += 1
    return heard
