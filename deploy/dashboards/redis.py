"""Panels of the Redis through which Prefect's events and background work pass."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

from dashboards import palette, panels
from dashboards.board import Row
from dashboards.sources import OF_TARGET, instant, ranged

_USED = f"redis_memory_used_bytes{{{OF_TARGET}}}"
_MOST = f"redis_memory_max_bytes{{{OF_TARGET}}}"
_UP = {"1": ("up", palette.GOOD), "0": ("DOWN", palette.BAD)}


def full() -> stat.Panel:
    """Return how much of its memory is taken."""
    return (
        panels.stat_panel(
            "Redis memory",
            "Share of maxmemory that is taken. At 100 % Redis takes no event any more.",
            panels.RATIO,
        )
        .with_target(instant(f"max({_USED} / ({_MOST} > 0))"))
        .thresholds(palette.rising(0.7, 0.9))
    )


def row() -> Row:
    """Return whether it is there, has room, keeps up and is written to disk."""
    first = [_up(), _clients(), _evicted(), _waiting_now()]
    graphs = [_memory(), _commands(), _waiting(), _length(), _persistence()]
    return Row("Redis", [*first, *graphs], folded=True)


def _up() -> stat.Panel:
    return (
        panels.stat_panel("Redis", "Whether its exporter reaches Redis.", panels.COUNT)
        .with_target(instant(f"min(redis_up{{{OF_TARGET}}})"))
        .mappings([panels.mapping(_UP)])
        .thresholds(palette.falling(1, 1))
    )


def _clients() -> stat.Panel:
    return (
        panels.stat_panel(
            "Redis clients",
            "Connections that are open: some dozens for two replicas and the services.",
            panels.COUNT,
        )
        .with_target(instant(f"sum(redis_connected_clients{{{OF_TARGET}}})"))
        .thresholds(palette.rising(1000, 5000))
    )


def _evicted() -> stat.Panel:
    evicted = f"increase(redis_evicted_keys_total{{{OF_TARGET}}}[1d])"
    return (
        panels.stat_panel(
            "Evicted keys, last 24 hours",
            "Keys that Redis threw away for want of memory. Each may have been an event or a slot's"
            " lease: with maxmemory-policy noeviction there are none.",
            panels.COUNT,
        )
        .with_target(instant(f"round(sum({evicted}))"))
        .thresholds(palette.rising(1, 1))
    )


def _behind() -> str:
    both = (
        f"max by (target, stream, group) (redis_stream_group_{what}{{{OF_TARGET}}})"
        for what in ("lag", "messages_pending")
    )
    return " + ".join(both)


def _waiting_now() -> stat.Panel:
    return (
        panels.stat_panel(
            "Messages that wait",
            "Messages of the stream and group that is furthest behind, which nobody has handled.",
            panels.COUNT,
        )
        .with_target(instant(f"max({_behind()})"))
        .thresholds(palette.rising(1000, 10_000))
    )


def _memory() -> timeseries.Panel:
    return (
        panels.graph(
            "Memory of Redis",
            "Bytes in use, and maxmemory.",
            panels.BYTES,
        )
        .with_target(ranged(f"max by (target) ({_USED})", "{{target}}"))
        .with_target(ranged(f"max({_MOST})", "maxmemory"))
        .override_by_name("maxmemory", [panels.fixed(palette.BAD)])
    )


def _commands() -> timeseries.Panel:
    done = f"rate(redis_commands_processed_total{{{OF_TARGET}}}[$__rate_interval])"
    return panels.graph("Commands", "Commands that Redis has done.", panels.PER_SECOND).with_target(
        ranged(f"sum by (target) ({done})", "{{target}}")
    )


def _waiting() -> timeseries.Panel:
    return panels.graph(
        "Messages that wait, by stream",
        "Not yet delivered to a group, or delivered and not confirmed. The group event-persister"
        " writes events to the database, docket-workers does the background services' work.",
        panels.COUNT,
    ).with_target(ranged(_behind(), "{{stream}} {{group}}"))


def _length() -> timeseries.Panel:
    length = f"max by (target, stream) (redis_stream_length{{{OF_TARGET}}})"
    return panels.graph(
        "Length of streams",
        "Messages that Redis holds, handled ones included until they are trimmed.",
        panels.COUNT,
    ).with_target(ranged(length, "{{stream}}"))


def _persistence() -> statetimeline.Panel:
    words = {"1": ("ok", palette.GOOD), "0": ("FAILED", palette.BAD)}
    panel = panels.timeline(
        "Written to disk",
        "Whether the last write to the append-only file, and the last rewrite of it, went well."
        " What is not written is lost at a restart.",
        words,
    )
    for name, what in (("write", "write"), ("rewrite", "bgrewrite")):
        status = f"redis_aof_last_{what}_status{{{OF_TARGET}}}"
        panel.with_target(ranged(f"min by (target) ({status})", "{{target}} " + name))
    return panel.height(4)
