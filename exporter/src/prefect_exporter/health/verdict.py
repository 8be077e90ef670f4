"""Is Prefect all right? One word and one sentence; what is not known is never fine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prefect_exporter.advice import advice
from prefect_exporter.health.ages import span
from prefect_exporter.health.model import (
    NOT_MADE,
    Failing,
    Found,
    Known,
    Pool,
    Tone,
    Verdict,
    Work,
)
from prefect_exporter.health.pools import NO_WORKER
from prefect_exporter.health.readings import Reading, Readings
from prefect_exporter.lateness.plans import NEW_US
from prefect_exporter.ledger.streaks import LONGEST
from prefect_exporter.metrics import Labels
from prefect_exporter.moments import DAY, SECOND, micros, seconds
from prefect_exporter.roster import Listed

# As in the alerts PrefectFlowRunsLate, PrefectDeploymentConsecutiveFailures and
# PrefectSchedulerStalled: a run may be a little late, one failure of many deployments is nothing
# that stops the others, and Prefect makes runs days ahead.
LATE_SECONDS = 300.0
FAILURES_IN_A_ROW = 3
DUE_WITHIN_SECONDS = DAY / SECOND


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict on one target is made from."""

    readings: Readings
    work: Found[Work]
    pools: Found[Pool]
    failing: Found[Failing]

    @property
    def late(self) -> Sequence[Work]:
        """Deployments with late runs."""
        return [row for row in self.work.rows if row.kind == "late"]

    @property
    def needed(self) -> Iterator[tuple[str, Reading]]:
        """What must be known before anything may be called fine."""
        readings = self.readings
        for name, reading in readings.collectors.items():
            watched = name in _WATCHED and reading.status.supported
            if reading.status.required or watched:
                yield name, reading


def verdict(facts: Facts) -> Verdict:
    """Return the first that holds, the worst first."""
    return next(found for question in _QUESTIONS if (found := question(facts)))


def overall(verdicts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Return the verdict on all targets, each given with its name: the worst, and whose it is."""
    if not verdicts:
        return Verdict(Tone.IDLE, "Nothing to watch", "This process reads no Prefect.")
    if len(verdicts) == 1:
        return verdicts[0][1]
    name, worst = min(verdicts, key=lambda each: list(Tone).index(each[1].tone))
    if worst.tone is Tone.GOOD:
        return Verdict(worst.tone, worst.word, f"So are all {len(verdicts)} targets.")
    others = sum(each.tone is not Tone.GOOD for _, each in verdicts) - 1
    more = f" So it is with {others} more of {len(verdicts)}." if others else ""
    return Verdict(worst.tone, worst.word, f"{name}: {worst.sentence}{more}")


def _down(facts: Facts) -> Verdict | None:
    server = facts.readings.state("server")
    if server is None or server.up:
        return None
    return Verdict(Tone.BAD, "Down", "The Prefect API gives no usable answer.")


def _not_ready(facts: Facts) -> Verdict | None:
    server = facts.readings.state("server")
    if server is None or server.ready is not False:
        return None
    return Verdict(Tone.BAD, "Not ready", "Prefect answers, but does not reach its database.")


def _unreadable(facts: Facts) -> Verdict | None:
    """What must be known cannot be read: whatever else is shown may be old."""
    for name, reading in facts.needed:
        status = reading.status
        if status.succeeded is False and status.error_kind != "waiting":
            known = advice(status.error_kind)
            title = known.title if known else "Prefect gives no usable answer"
            tone = Tone.WARN if status.fresh else Tone.BAD
            return Verdict(tone, "Unknown", f"{title}: {name} cannot be read.")
    return None


def _starting(facts: Facts) -> Verdict | None:
    if any(reading.state is None for _, reading in facts.needed):
        return Verdict(Tone.IDLE, "Unknown", "Waiting for the first values.")
    return None


def _stale(facts: Facts) -> Verdict | None:
    stale = [name for name, reading in facts.needed if not reading.status.fresh]
    if not stale:
        return None
    age = span(max(facts.readings.age(name) for name in stale))
    return Verdict(Tone.WARN, "Unknown", f"What is known of {', '.join(stale)} is {age} old.")


def _stalled(facts: Facts) -> Verdict | None:
    late = facts.readings.state("flow_runs_late")
    if late is None or late.scheduled:
        return None
    due = _due_soon(facts.readings)
    if not due:
        return None
    which = _counted(due, "deployment is due", "deployments are due")
    sentence = f"{which} within a day, and no run is to come: Prefect's scheduler stands still."
    return Verdict(Tone.BAD, "Stalled", sentence)


def _stopped(facts: Facts) -> Verdict | None:
    stopped = [row for row in facts.pools.rows if row.problem == NO_WORKER and row.waiting]
    if not stopped:
        return None
    worst = max(stopped, key=lambda row: row.waiting)
    waits = _counted(worst.waiting, "run waits", "runs wait")
    return Verdict(
        Tone.BAD, "Stopped", f"Work pool {worst.name} has no worker, and {waits} for one."
    )


def _late(facts: Facts) -> Verdict | None:
    late = [row for row in facts.late if (row.seconds or 0.0) > LATE_SECONDS]
    if not late:
        return None
    runs = _counted(sum(row.number for row in late), "run is", "runs are")
    oldest = span(max(row.seconds or 0.0 for row in late))
    of = _counted(len(late), "deployment", "deployments")
    return Verdict(Tone.WARN, "Late", f"{runs} late, of {of}; the oldest by {oldest}.")


def _stuck(facts: Facts) -> Verdict | None:
    stuck = [row for row in facts.work.rows if row.kind not in ("late", NOT_MADE)]
    if not stuck:
        return None
    runs = _counted(sum(row.number for row in stuck), "run does", "runs do")
    worst = max(stuck, key=lambda row: row.number)
    return Verdict(Tone.WARN, "Stuck", f"{runs} not go on, for example of {worst.where}.")


def _no_workers(facts: Facts) -> Verdict | None:
    scheduled = _scheduled_pools(facts.readings)
    for pool in facts.pools.rows:
        if pool.problem == NO_WORKER and pool.name in scheduled:
            sentence = f"Work pool {pool.name} has no worker, and deployments with schedules."
            return Verdict(Tone.WARN, "No workers", sentence)
    return None


def _failing(facts: Facts) -> Verdict | None:
    failing = [row for row in facts.failing.rows if row.failures >= FAILURES_IN_A_ROW]
    if not failing:
        return None
    worst = max(failing, key=lambda row: row.failures)
    which = _counted(len(failing), "deployment fails", "deployments fail")
    times = f"{worst.failures}{' or more' if worst.failures == LONGEST else ''}"
    where = f"{worst.flow}/{worst.deployment} has failed {times} times in a row"
    return Verdict(Tone.WARN, "Failing", f"{which} again and again: {where}.")


def _fine(facts: Facts) -> Verdict:
    readings, notes = facts.readings, []
    if runs := sum(row.number for row in facts.late):
        notes.append(_counted(runs, "run is a little late", "runs are a little late"))
    if unmade := sum(row.kind == NOT_MADE for row in facts.work.rows):
        notes.append(f"no run is to come of {_counted(unmade, 'deployment', 'deployments')}")
    if failed := len(facts.failing.rows):
        notes.append(_counted(failed, "deployment failed last", "deployments failed last"))
    unseen = [told for name, told in _WATCHED.items() if not _looks(readings, name)]
    sentences = ["Nothing is down, late or stuck", *notes]
    if unseen:
        sentences.append(f"not looked at: {', '.join(unseen)}")
    return Verdict(Tone.GOOD, "Fine", f"{'; '.join(sentences)}.")


def _looks(readings: Readings, name: str) -> bool:
    return readings.known(name) not in (Known.OFF, Known.UNSUPPORTED)


def _due_soon(readings: Readings) -> int:
    """Return how many deployments are due within a day, without those that Prefect just met."""
    state = readings.state("deployment_schedules")
    if state is None:
        return 0
    until, new = seconds(readings.now_us) + DUE_WITHIN_SECONDS, _new(readings, state.idle)
    return sum(
        plan.following is not None and plan.following < until and name not in new
        for name, plan in state.plans.items()
    )


def _new(readings: Readings, idle: Mapping[Labels, float]) -> set[Labels]:
    """Return the deployments that were made, or last seen *idle*, within two minutes."""
    since_us = readings.now_us - NEW_US
    state = readings.state("deployments")
    rows: Sequence[Listed] = state.listed if state else ()
    made = {each.name for each in rows if each.created and micros(each.created) > since_us}
    return made | {name for name, at in idle.items() if at > seconds(since_us)}


def _scheduled_pools(readings: Readings) -> set[str]:
    """Return the pools of deployments that run by themselves."""
    state = readings.state("deployments")
    listed: Sequence[Listed] = state.listed if state else ()
    return {each.work_pool for each in listed if each.timings and not each.paused}


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


_WATCHED = {
    "server": "whether the server answers",
    "flow_runs_late": "late work",
    "flow_runs_active": "stuck work",
    "deployment_schedules": "schedules",
    "work_pools": "work pools",
    "workers": "workers",
    "deployment_history": "failing deployments",
}
_QUESTIONS: tuple[Callable[[Facts], Verdict | None], ...] = (
    _down,
    _not_ready,
    _unreadable,
    _starting,
    _stale,
    _stalled,
    _stopped,
    _late,
    _stuck,
    _no_workers,
    _failing,
    _fine,
)
