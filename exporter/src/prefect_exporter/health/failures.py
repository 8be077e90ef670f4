"""The last failures, and what is alike among those of the last day."""

from __future__ import annotations

from prefect_exporter.failures.model import Group, Recent
from prefect_exporter.failures.redaction import redact
from prefect_exporter.health.model import Alike, Failure, Found
from prefect_exporter.health.readings import Readings
from prefect_exporter.labels import OTHER

GROUPS = "failure_groups"
SHOWN, ALIKE_SHOWN = 5, 5
# The page shows two lines, and the rest to whoever points at it; the whole is one click away.
MAX_CHARACTERS = 400


def failures(readings: Readings) -> Found[Failure]:
    """Return the runs that failed last."""
    state = readings.state(GROUPS)
    rows = [_failure(readings, each) for each in (state.recent if state else ())]
    return Found(rows, known=readings.known(GROUPS))


def badness(row: Failure) -> tuple[float, str, str]:
    """Return what to sort by, the newest least."""
    return row.seconds, row.target, row.run


def alike(readings: Readings) -> Found[Alike]:
    """Return the groups of failures that are alike."""
    state = readings.state(GROUPS)
    groups = state.groups if state else ()
    # What had no room among the groups is not alike.
    rows = [_alike(readings, each) for each in groups if each.signature.id != OTHER]
    return Found(rows, known=readings.known(GROUPS))


def size(row: Alike) -> tuple[int, float, str, str]:
    """Return what to sort by, the largest group least."""
    return -row.number, row.seconds, row.target, row.id


def _failure(readings: Readings, recent: Recent) -> Failure:
    failed = recent.failed
    return Failure(
        target=readings.name,
        run=failed.name,
        flow=failed.flow,
        deployment=failed.deployment,
        state=failed.state_name,
        category=recent.signature.category,
        message=_brief(redact(failed.message)),
        seconds=readings.ago(failed.ended_us),
        url=readings.run_url(failed.run_id),
    )


def _alike(readings: Readings, group: Group) -> Alike:
    signature = group.signature
    return Alike(
        target=readings.name,
        id=signature.id,
        category=signature.category,
        said=_brief(": ".join(filter(None, (signature.type, signature.pattern))) or signature.id),
        number=group.count,
        seconds=readings.ago(group.last_us),
        flows=len(group.flows),
        where=next(iter(group.flows), ""),
        url=readings.run_url(group.examples[0]) if group.examples else None,
    )


def _brief(message: str) -> str:
    """Return a message in one short line."""
    line = " ".join(message.split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"
