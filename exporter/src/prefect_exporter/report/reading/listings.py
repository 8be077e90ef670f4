"""The lists of the catalogue: one entry for each, read page by page from its beginning."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.json import Decoder

from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import (
    ConcurrencyLimit,
    TagLimit,
    ToldAutomation,
    ToldBlock,
    ToldDeployment,
    ToldFlow,
    ToldVariable,
    ToldWorkPool,
    ToldWorkQueue,
)

RowT = TypeVar("RowT", bound=msgspec.Struct)

MOST_ROWS = 20_000
"""Of one list; a workspace with more of anything is told that the rest was not read."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[RowT]):
    """One list of Prefect's.

    Args:
        what: What people call its rows.
        route: Where it is asked for.
        decoder: Of a page.
        key: Returns the key that a row is kept under.
        query: The rest of what is asked.
        longest: How many rows are asked for at once.
        needed: Without it there is no report.
    """

    what: str
    route: str
    decoder: Decoder[list[RowT]]
    key: Callable[[RowT], str]
    query: Mapping[str, object] = field(default_factory=dict)
    longest: int = sys.maxsize
    needed: bool = False


def _id(row: Any) -> str:  # noqa: ANN401 - every row that has an id
    return str(row.id)


def _name(row: Any) -> str:  # noqa: ANN401 - every row that has a name
    return str(row.name)


# Sorted by what is unique: of equal keys PostgreSQL gives another order with each offset.
LISTINGS: tuple[Listing[Any], ...] = (
    Listing(
        "flows", "flows/filter", Decoder(list[ToldFlow]), _id, {"sort": "NAME_ASC"}, needed=True
    ),
    Listing("work pools", "work_pools/filter", Decoder(list[ToldWorkPool]), _name),
    Listing("work queues", "work_queues/filter", Decoder(list[ToldWorkQueue]), _id),
    Listing(
        "concurrency limits",
        "v2/concurrency_limits/filter",
        Decoder(list[ConcurrencyLimit]),
        _name,
    ),
    Listing(
        "limits of tags",
        "concurrency_limits/filter",
        Decoder(list[TagLimit]),
        lambda row: row.tag,
    ),
    Listing(
        "automations",
        "automations/filter",
        Decoder(list[ToldAutomation]),
        _id,
        {"sort": "CREATED_DESC"},
    ),
    Listing(
        "blocks",
        "block_documents/filter",
        Decoder(list[ToldBlock]),
        _id,
        {"include_secrets": False},
    ),
    Listing("variables", "variables/filter", Decoder(list[ToldVariable]), _id),
)
DEPLOYMENTS = Listing(
    "deployments",
    "deployments/filter",
    Decoder(list[ToldDeployment]),
    _id,
    {"sort": "CREATED_DESC"},
    # They take Prefect about 20 ms each: a page of 200 could outlast the deadline.
    longest=50,
)


def listed(source: Source, listings: tuple[Listing[Any], ...]) -> Iterator[Piece]:
    """Yield one piece for each list."""
    for each in listings:
        yield Piece(each.route, each.what, partial(_page, source, each), each.needed)


async def _page(source: Source, listing: Listing[RowT], step: Step) -> Portion:
    query = {**listing.query, "offset": step.rows}
    page = await source.client.pages.page(listing.route, listing.decoder, query, listing.longest)
    rows = step.rows + len(page.rows)
    cut = page.full and rows >= MOST_ROWS
    note = f"Of the {listing.what} {rows:,} were read, not all." if cut else ""
    after = replace(step, rows=rows, done=cut or not page.full)
    return Portion(after, objects=[(row, listing.key(row)) for row in page.rows], note=note)
