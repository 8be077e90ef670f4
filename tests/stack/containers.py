"""What each container takes, as a table."""

from __future__ import annotations

import json
import os
from pathlib import Path

from stack.compose import Container, Stack, docker


def table(stack: Stack) -> str:
    """Return each container's image, user, root file system, memory and CPU, as Markdown.

    It is written to the file that ``PREFECT_STACK_TABLE`` names, too.
    """
    running = [one for one in stack.containers() if one.inspected["State"]["Running"]]
    used = _used(running)
    heads = ("container", "image", "user", "root", "memory (MiB)", "limit (MiB)", "CPU (%)")
    rows = [heads, tuple("---" for _ in heads), *(_row(one, used[one.id]) for one in running)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if path := os.environ.get("PREFECT_STACK_TABLE"):
        Path(path).write_text(text + "\n")
    return text


def _row(container: Container, used: dict[str, str]) -> tuple[str, ...]:
    config, host = container.inspected["Config"], container.inspected["HostConfig"]
    return (
        container.service,
        config["Image"],
        config["User"],
        "read-only" if host["ReadonlyRootfs"] else "writable",
        f"{_mebibytes(used['MemUsage'].partition(' / ')[0]):.0f}",
        f"{host['Memory'] / 2**20:.0f}",
        used["CPUPerc"].rstrip("%"),
    )


def _used(containers: list[Container]) -> dict[str, dict[str, str]]:
    ids = [container.id for container in containers]
    lines = docker("stats", "--no-stream", "--no-trunc", "--format={{json .}}", *ids).splitlines()
    return {used["ID"]: used for used in map(json.loads, lines)}


def _mebibytes(text: str) -> float:
    units = {"KiB": 2**-10, "MiB": 1.0, "GiB": 2.0**10}
    return float(text[:-3]) * units[text[-3:]] if text[-3:] in units else 0.0
