"""Which Prefect it is."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import ToldServer

KEY = "server"


def server(source: Source) -> Iterator[Piece]:
    """Yield the piece that asks for the version; Cloud has no route for it."""

    async def version(_step: Step) -> Portion:
        told = ToldServer(version=await source.client.version())
        return Portion(Step(done=True), objects=[(told, KEY)])

    yield Piece("admin/version", "the version", version)
