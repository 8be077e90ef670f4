"""A process of `bench.log_records`: flow runs that are under way at once, and their memory."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import dataclass

import msgspec
import psutil

WARM_UP = 20
"""Runs before the measured ones: what the first import and cache is nobody's memory a run."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process had resident.

    Args:
        before: Bytes before the measured runs, others having ended.
        during: Bytes while all of them wait in their flows.
    """

    before: int
    during: int


def measure(number: int) -> Memory:
    """Start so many runs of a flow, each of which logs a line and waits for the last one.

    They start and end one after another: a server on SQLite refuses many at once.
    """
    from prefect import flow, get_run_logger  # noqa: PLC0415 - `bench` itself need not wait for it

    @flow
    async def waiting(stay: Stay) -> None:
        get_run_logger().info("waiting")
        stay.begun.set()
        await stay.over.wait()

    async def crowd(count: int) -> int:
        stays = [Stay() for _ in range(count)]
        runs = []
        for stay in stays:
            runs.append(asyncio.create_task(waiting(stay)))
            await stay.begun.wait()
        memory = resident_bytes()
        for stay, run in zip(stays, runs, strict=True):
            stay.over.set()
            await run
        return memory

    async def both() -> Memory:
        await crowd(WARM_UP)
        before = resident_bytes()
        return Memory(before, await crowd(number))

    return asyncio.run(both())


class Stay:
    """One run's time in its flow."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()


def resident_bytes() -> int:
    """Return what this process has resident, without its garbage."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Instrument if the first argument is `ours`, run as many as the second, print `Memory`."""
    way, number = sys.argv[1:]
    if way == "ours":
        from prefect_instrumentation import setup  # noqa: PLC0415 - this way alone

        setup(logs=True, meters=True)
    print(msgspec.json.encode(measure(int(number))).decode())


if __name__ == "__main__":
    main()
