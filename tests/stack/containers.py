"""What each container takes, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from stack.compose import Container, Stack, docker


@dataclass(frozen=True, slots=True)
class Use:
    """What a running container is, and what it takes at this moment.

    Args:
        memory: MiB.
        limit: MiB.
        cpu: Percent of one processor.
    """

    container: Container
    memory: float
    limit: float
    cpu: float


def used(stack: Stack) -> list[Use]:
    """Return what each running container takes."""
    running = [one for one in stack.containers() if one.inspected["State"]["Running"]]
    stats = _stats(running)
    return [_use(one, stats[one.id]) for one in running]


def table(uses: Sequence[Use]) -> str:
    """Return each container's image, user, root file system, memory and CPU, as Markdown."""
    heads = ("container", "image", "user", "root", "memory (MiB)", "limit (MiB)", "CPU (%)")
    rows = [heads, tuple("---" for _ in heads), *map(_row, uses)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _use(container: Container, stats: dict[str, str]) -> Use:
    memory = _mebibytes(stats["MemUsage"].partition(" / ")[0])
    limit = container.inspected["HostConfig"]["Memory"] / 2**20
    return Use(container, memory, limit, float(stats["CPUPerc"].rstrip("%")))


def _row(use: Use) -> tuple[str, ...]:
    config, host = use.container.inspected["Config"], use.container.inspected["HostConfig"]
    root = "read-only" if host["ReadonlyRootfs"] else "writable"
    numbers = (f"{use.memory:.0f}", f"{use.limit:.0f}", f"{use.cpu:.1f}")
    return (use.container.service, config["Image"], config["User"], root, *numbers)


def _stats(containers: list[Container]) -> dict[str, dict[str, str]]:
    ids = [container.id for container in containers]
    lines = docker("stats", "--no-stream", "--no-trunc", "--format={{json .}}", *ids).splitlines()
    return {used["ID"]: used for used in map(json.loads, lines)}


def _mebibytes(text: str) -> float:
    units = {"KiB": 2**-10, "MiB": 1.0, "GiB": 2.0**10}
    return float(text[:-3]) * units[text[-3:]] if text[-3:] in units else 0.0
