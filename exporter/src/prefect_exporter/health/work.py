"""Late and stuck work: runs that wait to begin, do not begin, died unseen, or are not made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prefect_exporter.health.model import NOT_MADE, Found, Work
from prefect_exporter.health.readings import Readings
from prefect_exporter.labels import clip
from prefect_exporter.lateness.model import Diagnosis
from prefect_exporter.metrics import Labels

LATE, ACTIVE, SILENT = "flow_runs_late", "flow_runs_active", "heartbeats"
CAUSES = "late_causes"
# As the alert PrefectFlowRunStuckPending has it: a container may take minutes to come.
PENDING_SECONDS = 900.0
_STUCK = {"PENDING": "pending", "CANCELLING": "cancelling"}


def work(readings: Readings) -> Found[Work]:
    """Return the deployments whose runs do not go on."""
    urls = readings.deployment_urls()
    rows = [row for look in _LOOKS for row in look(readings, urls)]
    states = (readings.state(name) for name in (LATE, ACTIVE, SILENT))
    truncated = any(state.truncated for state in states if state is not None)
    return Found(rows, truncated, readings.known(LATE, ACTIVE))


def badness(row: Work) -> tuple[bool, float, str, str, str]:
    """Return what to sort by, the worst least: what waits longest, then by name.

    Where no runs are made that is so of all deployments: these do not hide what is late.
    """
    return row.kind == NOT_MADE, -(row.seconds or 0.0), row.target, row.flow, row.deployment


def late_in_pools(readings: Readings) -> Mapping[str, int]:
    """Return how many late runs each work pool has."""
    state = readings.state(LATE)
    waiting: dict[str, int] = {}
    for (_flow, _deployment, pool, _queue), number in state.number.items() if state else ():
        waiting[pool] = waiting.get(pool, 0) + number
    return waiting


def _late(readings: Readings, urls: Mapping[Labels, str]) -> Iterator[Work]:
    state = readings.state(LATE)
    if state is None:
        return
    causes, age = _causes(readings), readings.age(LATE)
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for labels, number in state.number.items():
        flow, deployment, *_ = labels
        before, oldest = found.get((flow, deployment), (0, 0.0))
        seconds = state.oldest_seconds[labels] + age
        found[flow, deployment] = before + number, max(oldest, seconds)
    for name, (number, seconds) in found.items():
        cause, mend = causes.get(name, ("", ""))
        url = urls.get(name)
        yield Work(readings.name, *name, "late", number, seconds, url, cause=cause, mend=mend)


def _causes(readings: Readings) -> Mapping[Labels, tuple[str, str]]:
    """Return why each deployment is late, and what mends it, as far as that was found out."""
    return {_name(each): _why(each) for each in _diagnoses(readings)}


def _diagnoses(readings: Readings) -> Sequence[Diagnosis]:
    state = readings.state(CAUSES)
    return state.late if state else ()


def _name(diagnosis: Diagnosis) -> tuple[str, str]:
    return clip(diagnosis.subject.flow), clip(diagnosis.subject.deployment)


def _why(diagnosis: Diagnosis) -> tuple[str, str]:
    first = diagnosis.reasons[0]
    return first.cause.replace("-", " "), next(iter(first.mend), "")


def _not_made(readings: Readings, urls: Mapping[Labels, str]) -> Iterator[Work]:
    for each in _diagnoses(readings):
        if not each.late:
            name, (cause, mend) = _name(each), _why(each)
            url = urls.get(name)
            yield Work(readings.name, *name, NOT_MADE, 0, None, url, cause=cause, mend=mend)


def _stuck(readings: Readings, urls: Mapping[Labels, str]) -> Iterator[Work]:
    state, age = readings.state(ACTIVE), readings.age(ACTIVE)
    for labels, number in state.number.items() if state else ():
        flow, deployment, state_type, _ = labels
        seconds = state.oldest_seconds[labels] + age
        if state_type in _STUCK and seconds > PENDING_SECONDS:
            kind, url = _STUCK[state_type], urls.get((flow, deployment))
            yield Work(readings.name, flow, deployment, kind, number, seconds, url)


def _silent(readings: Readings, urls: Mapping[Labels, str]) -> Iterator[Work]:
    state = readings.state(SILENT)
    for name, number in state.stale.items() if state else ():
        flow, deployment = name
        if number > 0:
            url = urls.get(name)
            yield Work(readings.name, flow, deployment, "silent", int(number), None, url)


_LOOKS: tuple[Callable[[Readings, Mapping[Labels, str]], Iterator[Work]], ...] = (
    _late,
    _stuck,
    _silent,
    _not_made,
)
