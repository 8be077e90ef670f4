"""An answer as text for people, and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from prefect_exporter.lateness.answer import Answer
from prefect_exporter.lateness.model import Cause, Diagnosis, Facts, Holder, Reason
from prefect_exporter.lateness.words import ago, duration, runs
from prefect_exporter.moments import SECOND, moment
from prefect_exporter.report.rendering import jsontext
from prefect_exporter.ui_links import UiLinks


class ToldHolder(msgspec.Struct, frozen=True):
    """A flow run that holds a slot."""

    id: UUID
    flow: str
    work_queue: str
    since: datetime | None
    url: str


class ToldReason(msgspec.Struct, frozen=True):
    """One cause that holds; *mend* are commands, the best first."""

    cause: str
    text: str
    mend: tuple[str, ...]
    numbers: dict[str, float]
    flow_runs: tuple[ToldHolder, ...]


class ToldDiagnosis(msgspec.Struct, frozen=True):
    """Runs of one deployment that wait in one place; *reasons* as they have to be mended."""

    flow: str
    deployment: str
    deployment_id: UUID | None
    work_pool: str
    work_queue: str
    late: int
    oldest_due: datetime | None
    cause: str
    reasons: tuple[ToldReason, ...]


class ToldAnswer(msgspec.Struct, frozen=True):
    """The whole; *notes* say what was not read."""

    target: str
    at: datetime
    diagnoses: tuple[ToldDiagnosis, ...]
    notes: tuple[str, ...]


def as_json(answer: Answer, target: str, now_us: int, links: UiLinks) -> str:
    """Return the answer as one JSON object."""
    told = tuple(_diagnosis(each, links) for each in answer.diagnoses)
    document = ToldAnswer(target, moment(now_us), told, answer.notes)
    return jsontext.as_text(msgspec.json.encode(document))


def as_text(answer: Answer, now_us: int, links: UiLinks) -> str:
    """Return the answer as lines for a terminal; names in them cannot command it."""
    lines: list[str] = []
    for each in answer.diagnoses:
        lines += [*_lines(each, now_us, links), ""]
    lines += [_not_late(each, now_us) for each in _fine(answer)]
    if not lines:
        lines = ["Nothing is late."]
    lines += [f"Note: {note}." for note in answer.notes]
    return plain("\n".join(lines).rstrip("\n"))


def plain(text: str) -> str:
    """Return text without what a terminal would obey."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text
    )


def _fine(answer: Answer) -> Sequence[Facts]:
    """Return what was asked for and is neither late nor in trouble; none where all was asked."""
    sick = {each.subject for each in answer.diagnoses}
    return (
        [each for each in answer.found if each.subject not in sick]
        if len(answer.found) == 1
        else ()
    )


def _not_late(facts: Facts, now_us: int) -> str:
    plan = facts.plan
    if plan is None or plan.following_us is None:
        return f"{_line(facts.subject.name)} is not late, and no active schedule is due."
    until = duration((plan.following_us - now_us) / SECOND)
    return f"{_line(facts.subject.name)} is not late; its next run is due in {until}."


def _lines(diagnosis: Diagnosis, now_us: int, links: UiLinks) -> Iterator[str]:
    yield _headline(diagnosis, now_us)
    first, *others = diagnosis.reasons
    yield f"  cause  {first.cause}: {_line(first.text)}"
    for command in first.mend:
        yield f"  mend   {_line(command)}"
    for holder in first.holders:
        since = f", began {ago(holder.since_us, now_us)}" if holder.since_us else ""
        yield f"  holds  {_line(holder.flow)}{since}  {links.flow_run(holder.run_id)}"
    for reason in others:
        yield f"  then   {reason.cause}: {_line(reason.text)}"
        yield from (f"         {_line(command)}" for command in reason.mend[:1])


def _headline(diagnosis: Diagnosis, now_us: int) -> str:
    subject = diagnosis.subject
    where = f" in work pool {subject.work_pool!r}" if subject.work_pool else ""
    if subject.work_queue:
        where += f", queue {subject.work_queue!r}"
    if not diagnosis.late:
        return f"{_line(subject.name)}{where}: no runs are made"
    what = "waits inside" if diagnosis.cause is Cause.TAG_LIMIT_FULL else "late"
    oldest = ""
    if diagnosis.oldest_us is not None:
        oldest = f", the oldest for {duration((now_us - diagnosis.oldest_us) / SECOND)}"
    return f"{_line(subject.name)}{where}: {runs(diagnosis.late)} {what}{oldest}"


def _line(text: str) -> str:
    """Return text as one line, whatever name stands in it."""
    return " ".join(text.splitlines())


def _diagnosis(diagnosis: Diagnosis, links: UiLinks) -> ToldDiagnosis:
    subject = diagnosis.subject
    return ToldDiagnosis(
        flow=subject.flow,
        deployment=subject.deployment,
        deployment_id=subject.deployment_id,
        work_pool=subject.work_pool,
        work_queue=subject.work_queue,
        late=diagnosis.late,
        oldest_due=None if diagnosis.oldest_us is None else moment(diagnosis.oldest_us),
        cause=diagnosis.cause,
        reasons=tuple(_reason(each, links) for each in diagnosis.reasons),
    )


def _reason(reason: Reason, links: UiLinks) -> ToldReason:
    holders = tuple(_holder(each, links) for each in reason.holders)
    return ToldReason(reason.cause, reason.text, reason.mend, dict(reason.numbers), holders)


def _holder(holder: Holder, links: UiLinks) -> ToldHolder:
    since = None if holder.since_us is None else moment(holder.since_us)
    return ToldHolder(
        holder.run_id, holder.flow, holder.queue, since, links.flow_run(holder.run_id)
    )
