"""What the timeout of statements is for: those that hang hold the pool's connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import httpx

from bench.alternating import Comparison, Figures, compare
from bench.tuning_place import Place, Say
from demo.prefect_server import PrefectServer

# One more than a server's connections: 5 and 10 more.
_BLOCKED = 16
_GIVES_UP_SECONDS = 75.0


def measure_timeouts(there: Place, rounds: int, say: Say) -> Comparison:
    """Compare the usual timeout with a long one, while a transaction holds a row that many want."""
    say(f"statement timeout: {rounds} rounds of two ...")
    long = {"PREFECT_API_DATABASE_TIMEOUT": "60"}
    with there.server("patient", **long) as patient, there.server("usual") as usual:

        def lap(server: PrefectServer) -> Callable[[], Figures]:
            return lambda: asyncio.run(_read_behind(there, server))

        ways = (("60 s", lap(patient)), ("10 s, the default", lap(usual)))
        return compare("PREFECT_API_DATABASE_TIMEOUT", ways, rounds)


async def _read_behind(there: Place, server: PrefectServer) -> Figures:
    """Return how long a read takes while `_BLOCKED` writes wait for the same row."""
    holder = await asyncpg.connect(there.url)
    path = f"/flow_runs/{there.what.flow_run}/set_state"
    body = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
    try:
        async with (
            holder.transaction(),
            httpx.AsyncClient(
                base_url=server.api_url, timeout=_GIVES_UP_SECONDS, trust_env=False
            ) as client,
        ):
            await holder.execute(
                "select 1 from flow_run where id = $1 for update", there.what.flow_run
            )
            writes = [asyncio.create_task(client.post(path, json=body)) for _ in range(_BLOCKED)]
            await asyncio.sleep(2)
            began = time.monotonic()
            answer = await client.post("/flow_runs/count", json={})
            seconds = time.monotonic() - began
            for write in writes:
                write.cancel()
            await asyncio.gather(*writes, return_exceptions=True)
        return {"a read, s": seconds, "reads refused": float(answer.is_error)}
    finally:
        await holder.close()
