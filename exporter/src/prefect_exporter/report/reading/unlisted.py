"""Flows and deployments that runs belong to and the lists did not have: made since, or too many."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from prefect_exporter.report.catalog import KINDS
from prefect_exporter.report.reading.listings import DEPLOYMENTS, LISTINGS, Listing
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import ToldDeployment, ToldFlow

MOST = 2_000
BATCH = 50

_SELECT = "SELECT DISTINCT {0} FROM flow_runs WHERE {0} != x'' ORDER BY {0}"
_KNOWN = "SELECT id FROM objects WHERE kind = ?"


def unlisted(source: Source) -> Iterator[Piece]:
    """Yield what asks for them by their ids; those that were deleted stay unknown."""
    yield from _pieces(source, "flow_id", KINDS[ToldFlow], LISTINGS[0])
    yield from _pieces(source, "deployment_id", KINDS[ToldDeployment], DEPLOYMENTS)


def _pieces(source: Source, column: str, kind: str, listing: Listing[Any]) -> Iterator[Piece]:
    database = source.store.database
    known = {key for (key,) in database.execute(_KNOWN, (kind,))}
    of_runs = (UUID(bytes=each) for (each,) in database.execute(_SELECT.format(column)))
    lacking = [each for each in of_runs if str(each) not in known][:MOST]
    for start in range(0, len(lacking), BATCH):
        batch = lacking[start : start + BATCH]
        read = partial(_batch, source, listing, batch)
        yield Piece(f"{listing.route} {batch[0]}", listing.what, read)


async def _batch(source: Source, listing: Listing[Any], batch: list[UUID], _step: Step) -> Portion:
    what = listing.route.partition("/")[0]
    rows = await source.client.pages.by_id(what, listing.decoder, batch)
    objects = [(row, listing.key(row)) for row in rows]
    return Portion(Step(rows=len(rows), done=True), objects=objects)
