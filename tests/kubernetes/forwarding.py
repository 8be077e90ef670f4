"""Pass on what comes to one address to another: `python forwarding.py HOST:PORT HOST:PORT`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def serve(ours: str, theirs: str) -> None:
    """Do so until the process is ended."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(*theirs.split(":"))
        await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer))

    server = await asyncio.start_server(forward, *ours.split(":"))
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while read := await reader.read(65536):
            writer.write(read)
            await writer.drain()
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
