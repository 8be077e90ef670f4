"""The flow `replay-dead-letters`: corrected orders go to the lake after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from etl import dead_letters, tasks, validation, writing
from etl.meters import ROWS, count_success
from etl.model import Letter, Written
from etl.workplace import Workplace, open_workplace, watch
from prefect_instrumentation import annotate, error_context, record_io, traced


@flow(name="replay-dead-letters", timeout_seconds=3600)
def replay_dead_letters(
    client: str, corrections: dict[str, dict[str, Any]] | None = None
) -> dict[str, int]:
    """Validate a client's dead letters again, and load those that are good by now.

    Run it as often as you like, also where it was killed: each row is loaded once.

    Args:
        client: Whose.
        corrections: Fields to set before that, by row id: `{"1700000000000-0": {"amount": 5}}`.

    Returns:
        How many rows were `replayed`, and how many letters are `left`.
    """
    annotate(client=client)
    with error_context(client=client):
        place = open_workplace(client)
        watch(place)
        tasks.settle(client)
        day = datetime.now(UTC).date().isoformat()
        table = tasks.rates(day, place.settings.rates_url)
        found = replay(client, corrections or {}, table)
        get_run_logger().info("letters.replayed", extra={"client": client, **found})
        annotate(**found)
    return found


@traced(source=tasks.LETTERS, destination=tasks.LAKE)
@task(cache_policy=NO_CACHE, **tasks.HEALING)
def replay(
    client: str, corrections: dict[str, dict[str, Any]], table: dict[str, float]
) -> dict[str, int]:
    """Take the letters page by page to the lake; return how many got there, and how many wait."""
    place = open_workplace(client)
    replayed = 0
    for letters in dead_letters.letters(place.redis, client):
        written = _load(place, letters, corrections, table)
        ROWS.add(written.accepted, client=client, outcome="replayed")
        record_io(records=written.accepted, bytes=written.bytes)
        # Last: a letter whose row is there already is removed, however often that is tried.
        dead_letters.finish(place.redis, place.lake, letters)
        replayed += written.accepted
    tasks.tell_memory()
    count_success()
    return {"replayed": replayed, "left": dead_letters.count(place.redis, client)}


def _load(
    place: Workplace,
    letters: Sequence[Letter],
    corrections: Mapping[str, Mapping[str, Any]],
    table: Mapping[str, float],
) -> Written:
    extracted = dead_letters.spool(place.lake, letters, corrections)
    try:
        validated = validation.validate(place.lake, extracted, now=datetime.now(UTC))
        converted = validation.convert(place.lake, validated, table)
        return writing.commit_replayed(place.lake, converted)
    finally:
        writing.discard(place.lake.spool / extracted.name)
