"""Panels of the machine: CPU, memory and disks."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, timeseries

from dashboards import palette, panels
from dashboards.board import Row
from dashboards.sources import instant, ranged

_REAL = 'fstype!~"tmpfs|ramfs|squashfs|iso9660|erofs"'
_DISK = "instance, device"


def row() -> Row:
    """Return how busy and how full the machine is."""
    graphs = [_cpu(), _memory(), _full(), _disk(), _pressure(), _killed()]
    return Row("Machine", graphs, folded=True)


def _cpu() -> timeseries.Panel:
    idle = 'rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval])'
    return (
        panels.graph("CPU", "Share of all cores' time in which they worked.", panels.RATIO)
        .with_target(ranged(f"1 - avg by (instance) ({idle})", "{{instance}}"))
        .max(1)
    )


def _memory() -> timeseries.Panel:
    used = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    return (
        panels.graph(
            "Memory",
            "Share of memory that is taken and could not be had at once. Near 100 % the kernel"
            " begins to kill.",
            panels.RATIO,
        )
        .with_target(ranged(used, "{{instance}}"))
        .max(1)
    )


def _full() -> bargauge.Panel:
    free = (
        f"min by ({_DISK}) (node_filesystem_avail_bytes{{{_REAL}}})"
        f" / min by ({_DISK}) (node_filesystem_size_bytes{{{_REAL}}})"
    )
    return (
        panels.ranking(
            "Disks",
            "Share of each disk that is taken. A full one stops PostgreSQL, and everything else.",
            panels.RATIO,
        )
        .with_target(instant(f"sort_desc(1 - {free})", "{{device}} {{instance}}"))
        .thresholds(palette.rising(0.8, 0.9))
        .max(1)
    )


def _disk() -> timeseries.Panel:
    panel = panels.graph(
        "Disk traffic", "Bytes that were read from and written to all disks, a second.", "binBps"
    )
    for name, what in (("read", "read"), ("written", "written")):
        rate = f"sum(rate(node_disk_{what}_bytes_total[$__rate_interval]))"
        panel.with_target(ranged(rate, name))
    return panel


def _pressure() -> timeseries.Panel:
    panel = panels.graph(
        "Pressure",
        "Share of time in which something waited for CPU, disks or memory. Above a tenth for long,"
        " the machine is too small for what it does.",
        panels.RATIO,
    )
    for name in ("cpu", "io", "memory"):
        rate = f"rate(node_pressure_{name}_waiting_seconds_total[$__rate_interval])"
        panel.with_target(ranged(f"max({rate})", name))
    return panel


def _killed() -> timeseries.Panel:
    killed = "rate(node_vmstat_oom_kill[$__rate_interval]) * ($__interval_ms / 1000)"
    return panels.bars(
        "Killed for want of memory",
        "Processes that the kernel killed, in containers that were at their limit too.",
    ).with_target(ranged(f"round(sum by (instance) ({killed}))", "{{instance}}"))
