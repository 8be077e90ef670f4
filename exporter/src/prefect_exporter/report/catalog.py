"""What a workspace has, besides runs: flows, deployments, pools and so on, by id or name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from prefect_exporter.report.store import Store
from prefect_exporter.report.wire import (
    ConcurrencyLimit,
    TagLimit,
    ToldAutomation,
    ToldBlock,
    ToldDeployment,
    ToldFlow,
    ToldServer,
    ToldVariable,
    ToldWorker,
    ToldWorkPool,
    ToldWorkQueue,
)

RowT = TypeVar("RowT")

KINDS: Mapping[type, str] = {
    ToldFlow: "flow",
    ToldDeployment: "deployment",
    ToldWorkPool: "work_pool",
    ToldWorkQueue: "work_queue",
    ToldWorker: "worker",
    ConcurrencyLimit: "concurrency_limit",
    TagLimit: "tag_limit",
    ToldAutomation: "automation",
    ToldBlock: "block",
    ToldVariable: "variable",
    ToldServer: "server",
}
"""Under which kind the store has the objects of a class."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of it; ids are the 16 bytes of the UUID, as in the rows of runs."""

    flows: Mapping[bytes, ToldFlow] = field(default_factory=dict)
    deployments: Mapping[bytes, ToldDeployment] = field(default_factory=dict)
    work_pools: Mapping[str, ToldWorkPool] = field(default_factory=dict)
    work_queues: Sequence[ToldWorkQueue] = ()
    workers: Sequence[ToldWorker] = ()
    concurrency_limits: Sequence[ConcurrencyLimit] = ()
    tag_limits: Sequence[TagLimit] = ()
    automations: Sequence[ToldAutomation] = ()
    blocks: Sequence[ToldBlock] = ()
    variables: Sequence[ToldVariable] = ()
    server: ToldServer = field(default_factory=ToldServer)


def load(store: Store) -> Catalog:
    """Return the catalogue that the store has."""

    def rows(kind: type[RowT]) -> list[RowT]:
        decoder = msgspec.json.Decoder(kind)
        return [decoder.decode(body) for body in store.objects(KINDS[kind])]

    return Catalog(
        flows={each.id.bytes: each for each in rows(ToldFlow)},
        deployments={each.id.bytes: each for each in rows(ToldDeployment)},
        work_pools={each.name: each for each in rows(ToldWorkPool)},
        work_queues=rows(ToldWorkQueue),
        workers=rows(ToldWorker),
        concurrency_limits=rows(ConcurrencyLimit),
        tag_limits=rows(TagLimit),
        automations=rows(ToldAutomation),
        blocks=rows(ToldBlock),
        variables=rows(ToldVariable),
        server=next(iter(rows(ToldServer)), ToldServer()),
    )


def keep(store: Store, row: msgspec.Struct, key: str) -> None:
    """Keep one object under its id or name."""
    store.put(KINDS[type(row)], key, msgspec.json.encode(row))
