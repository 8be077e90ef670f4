"""The course of a job elsewhere: one job whatever goes wrong, and none left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger.jobs.course import Find, Heard, Plan, Start, Wait, course, pause
from trigger.jobs.errors import (
    Doubt,
    JobCancelled,
    JobCodeWrong,
    JobDataWrong,
    JobError,
    JobFailed,
    JobLate,
    JobMisconfigured,
    Refused,
    StartUnknown,
    Unavailable,
)
from trigger.jobs.model import Blame, Job, Patience, Phase
from trigger.jobs.running import Clock, run_job

CAUSE = "prefect run 1 sync"
Fault = Literal["", "busy", "broken", "done and broken", "lost", "lost, then done"]
FAULTS: tuple[Fault, ...] = ("", "busy", "broken", "done and broken", "lost", "lost, then done")
RESTS = (0.0, 0.5, 1.0)
PATIENT = Patience(total=100_000, cancel=10_000)
"""Long enough for every fault to be over."""


class Interrupted(BaseException):
    """Somebody stops the process, as SIGTERM does."""


@dataclass
class Fake:
    """A system whose time is ours, and whose requests go wrong as they are told to.

    Args:
        faults: Of its requests, one after the other; then they go well.
        interrupted_at: The request or wait, counted from 0, in which the process is stopped.
        is_late: Whether that request is carried out all the same.
        keeps_cause: As dbt Cloud does, and Airbyte does not.
        seconds: How long its jobs take.
    """

    faults: Sequence[Fault] = ()
    interrupted_at: int | None = None
    is_late: bool = False
    keeps_cause: bool = True
    seconds: float = 100.0
    ends: Job = field(default_factory=lambda: Job(id="", phase=Phase.SUCCEEDED))
    refused: int | None = None
    name: str = "fake"
    page: str = "http://fake.test"
    time: float = 0.0
    acts: int = 0
    jobs: dict[str, tuple[float, Job]] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    looks: int = 0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._count()
        self.time += seconds
        self.waits.append(seconds)

    def newest(self, cause: str) -> Job | None:
        """Return the newest job that is there by now."""
        self._ask()
        there = [each for each in self.jobs if self.jobs[each][0] <= self.time]
        found = self.seen(there[-1]) if there else None
        return found if not self.keeps_cause or found is None or found.cause == cause else None

    def start(self, cause: str) -> Job:
        """Start a job, or seem to."""
        fault = self._fault()
        if fault in {"busy", "broken", "lost"}:
            raise self._trouble(fault)
        kept = cause if self.keeps_cause else None
        number = str(len(self.jobs) + 1)
        later = 20.0 if fault == "lost, then done" else 0.0
        if self.is_late or not self._is_now():
            running = Job(id=number, phase=Phase.RUNNING, cause=kept)
            self.jobs[number] = (self.time + later, running)
        self._count()
        if fault:
            raise self._trouble(fault)
        return replace(self.seen(number), cause=cause)

    def look(self, job_id: str) -> Job:
        """Return a job as it is."""
        self._ask()
        self.looks += 1
        return self.seen(job_id)

    def cancel(self, job_id: str) -> None:
        """Stop a job."""
        self._ask()
        began, job = self.jobs[job_id]
        if not self.seen(job_id).phase.is_over:
            self.jobs[job_id] = began, replace(job, phase=Phase.CANCELLED)

    def seen(self, job_id: str) -> Job:
        """Return a job as it is, asking nobody."""
        began, job = self.jobs[job_id]
        if job.phase is Phase.RUNNING and self.time >= began + self.seconds:
            return replace(self.ends, id=job_id, cause=job.cause)
        return job

    def phases(self) -> list[Phase]:
        """Return how far each job is."""
        return [self.seen(each).phase for each in self.jobs]

    def _ask(self) -> None:
        fault = self._fault()
        self._count()
        if fault:
            raise self._trouble(fault)

    def _fault(self) -> Fault:
        if self.refused is not None:
            raise Refused(self.name, "no", status=self.refused)
        taken, *self.faults = self.faults or [""]
        return taken

    def _is_now(self) -> bool:
        return self.acts == self.interrupted_at

    def _count(self) -> None:
        now = self._is_now()
        self.acts += 1
        if now:
            raise Interrupted

    def _trouble(self, fault: Fault) -> Unavailable:
        if fault == "busy":
            return Unavailable(self.name, "HTTP 429", status=429, retry_after=7)
        doubt = Doubt.LOST if fault.startswith("lost") else Doubt.ANSWERED
        return Unavailable(self.name, fault, doubt=doubt)


def run(fake: Fake, patience: Patience | None = None, jitter: float = 1.0) -> Job:
    """Have the fake do a job, in its own time."""
    clock = Clock(now=lambda: fake.time, sleep=fake.sleep, jitter=lambda: jitter)
    return run_job(fake, CAUSE, patience or Patience(), clock)


def test_job_is_started_once_and_followed_to_its_end() -> None:
    """A job that goes well is one job, and comes back as it ended."""
    fake = Fake(ends=Job(id="", phase=Phase.SUCCEEDED, records=5))

    job = run(fake)

    assert (Job(id="1", phase=Phase.SUCCEEDED, cause=CAUSE, records=5), 1) == (job, len(fake.jobs))


def test_pauses_grow_to_the_longest() -> None:
    """Between two looks there is twice the pause of before, up to the longest."""
    fake = Fake()

    run(fake, Patience(first=1, longest=10))

    assert [1, 2, 4, 8, 10, 10, 10, 10] == fake.waits[:8]


@given(tries=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_pause_is_bounded_and_spread(tries: int, jitter: float) -> None:
    """However often one has tried, chance decides on half of a pause that has a bound."""
    patience = Patience(first=1, longest=30)

    seconds = pause(patience, tries, jitter=lambda: jitter)

    longest = min(30.0, 2.0 ** min(tries, 30))
    assert longest / 2 <= seconds <= longest


def test_pause_that_is_asked_for_is_kept() -> None:
    """Nobody is asked again before the seconds of its Retry-After are over."""
    fake = Fake(faults=["", "", "busy"])

    run(fake, Patience(first=1, longest=2))

    assert [1, 7, 2] == fake.waits[:3]


@pytest.mark.parametrize("keeps_cause", [True, False], ids=["cause", "no cause"])
@pytest.mark.parametrize("fault", ["done and broken", "lost, then done"])
def test_lost_answer_starts_no_second_job(fault: Fault, *, keeps_cause: bool) -> None:
    """A start that was done without a good answer is found, and not done again."""
    fake = Fake(faults=["", fault], keeps_cause=keeps_cause)

    job = run(fake)

    assert (["succeeded"], "1") == (fake.phases(), job.id)


def test_stop_after_a_clear_answer_asks_nothing_more() -> None:
    """A start that was refused for now left no job: what is there by then is somebody else's."""
    decisions = course(Plan("fake", CAUSE, Patience(), jitter=lambda: 0.5), 0)
    busy = Unavailable("fake", "HTTP 429", status=429, retry_after=7)
    acts = [next(decisions), decisions.send(Heard(1, None)), decisions.send(Heard(2, busy))]

    assert [Find(), Start(), Wait(7)] == acts
    with pytest.raises(Interrupted):
        decisions.throw(Interrupted())


def test_start_that_nobody_knows_of_is_an_error() -> None:
    """Where an answer is lost and no job is to be seen, no second one is started on a guess."""
    fake = Fake(faults=["", "lost"])

    with pytest.raises(StartUnknown, match="no job is to be seen"):
        run(fake)

    assert not fake.jobs


@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=12),
    keeps_cause=st.booleans(),
    jitter=st.sampled_from(RESTS),
)
def test_there_is_never_a_second_job(
    faults: list[Fault], jitter: float, *, keeps_cause: bool
) -> None:
    """Whatever becomes of the answers, there is one job; none goes on where nobody can know."""
    fake = Fake(faults=faults, keeps_cause=keeps_cause)

    try:
        run(fake, PATIENT, jitter)
    except StartUnknown:
        assert fake.phases() in ([], ["cancelled"])
    else:
        assert ["succeeded"] == fake.phases()


@given(
    faults=st.lists(st.sampled_from(FAULTS[:4]), max_size=6),
    at=st.integers(0, 40),
    is_late=st.booleans(),
    keeps_cause=st.booleans(),
)
def test_no_job_is_left_behind(
    faults: list[Fault], at: int, *, is_late: bool, keeps_cause: bool
) -> None:
    """Wherever the process is stopped, the job that it has started does not go on."""
    fake = Fake(faults=faults, interrupted_at=at, is_late=is_late, keeps_cause=keeps_cause)

    try:
        run(fake, PATIENT)
    except Interrupted:
        assert Phase.RUNNING not in fake.phases()
    else:
        assert ["succeeded"] == fake.phases()


def test_time_that_is_up_cancels_the_job() -> None:
    """A job that takes longer than it may is stopped, and that is a timeout."""
    fake = Fake(seconds=1e9)

    with pytest.raises(JobLate) as caught:
        run(fake, Patience(total=50))

    assert isinstance(caught.value, TimeoutError)
    assert (["cancelled"], 50) == (fake.phases(), fake.time)


def test_system_that_stays_down_costs_no_more_than_the_patience() -> None:
    """Where nothing is answered any more, the run ends in time, and says why."""
    fake = Fake(faults=["", "", *["broken"] * 1000])  # type: ignore[list-item]  # literals in a list

    with pytest.raises(JobLate, match="at last broken"):
        run(fake, Patience(total=200))

    assert fake.time <= 200 + Patience().cancel


def test_job_under_way_is_joined() -> None:
    """After a crash the next process finds its job, and starts no other."""
    fake = Fake(jobs={"1": (0, Job(id="1", phase=Phase.RUNNING, cause=CAUSE))})

    job = run(fake)

    assert (["succeeded"], "1") == (fake.phases(), job.id)


def test_job_that_ended_well_meanwhile_is_not_done_again() -> None:
    """A job of this very cause that succeeded while nobody watched is the result."""
    fake = Fake(jobs={"1": (0, Job(id="1", phase=Phase.SUCCEEDED, cause=CAUSE))})

    run(fake)

    assert 1 == len(fake.jobs)


@pytest.mark.parametrize("cause", [None, CAUSE], ids=["unknown", "ours, and failed"])
def test_other_job_that_has_ended_is_not_taken_for_ours(cause: str | None) -> None:
    """What is over, and is not surely this work well done, is started anew."""
    phase = Phase.FAILED if cause else Phase.SUCCEEDED
    fake = Fake(jobs={"1": (0, Job(id="1", phase=phase, cause=cause))}, keeps_cause=False)

    job = run(fake)

    assert ("2", 2) == (job.id, len(fake.jobs))


def test_job_of_somebody_else_is_not_cancelled() -> None:
    """A job that was joined, and that others may have started, goes on when we are stopped."""
    fake = Fake(
        jobs={"1": (0, Job(id="1", phase=Phase.RUNNING))}, keeps_cause=False, interrupted_at=3
    )

    with pytest.raises(Interrupted):
        run(fake)

    assert ["running"] == fake.phases()


def test_cancellation_that_is_refused_hides_no_error() -> None:
    """What stopped the run is what is told, also where the job cannot be cancelled."""

    class Stubborn(Fake):
        def cancel(self, job_id: str) -> None:
            raise Refused(self.name, "no", status=403)

    with pytest.raises(Interrupted):
        run(Stubborn(interrupted_at=4))


def test_job_that_cannot_be_cancelled_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Where a job goes on in spite of us, the log has its id."""
    fake = Fake(faults=["", "", *["broken"] * 1000], interrupted_at=4)  # type: ignore[list-item]  # literals in a list

    with pytest.raises(Interrupted):
        run(fake)

    (told,) = (each for each in caplog.records if each.msg == "job.left")
    assert "1" == told.__dict__["left"]


def test_refusal_is_not_asked_for_again() -> None:
    """Where credentials are wrong, one request shows it, and nothing is started."""
    fake = Fake(refused=401)

    with pytest.raises(Refused):
        run(fake)

    assert ([], {}) == (fake.waits, fake.jobs)


@pytest.mark.parametrize(
    ("phase", "blame", "expected"),
    [
        (Phase.FAILED, Blame.SYSTEM, JobFailed),
        (Phase.FAILED, Blame.SETTINGS, JobMisconfigured),
        (Phase.FAILED, Blame.CODE, JobCodeWrong),
        (Phase.FAILED, Blame.DATA, JobDataWrong),
        (Phase.CANCELLED, Blame.SYSTEM, JobCancelled),
    ],
)
def test_bad_end_is_an_error_of_its_own(
    phase: Phase, blame: Blame, expected: type[JobError]
) -> None:
    """Each way to end badly has its class, and what the job said is in the text."""
    fake = Fake(ends=Job(id="", phase=phase, blame=blame, said="why"))

    with pytest.raises(JobError) as caught:
        run(fake)

    assert (expected, f"fake: job 1 {phase}: why") == (type(caught.value), str(caught.value))
