"""Work pools, queues and workers: is there room, who waits, and how long yet."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries

from dashboards import lateness, limits, links, palette, panels, tables
from dashboards.board import Board, Row
from dashboards.lateness import BACKLOG, CLEARED, LATE, OF_POOL, OF_QUEUE, OLDEST, QUEUE
from dashboards.sources import OF_TARGET, each_interval, instant, ranged
from dashboards.variables import chosen

_POOL = "target, work_pool"
_ONLINE = f'max by ({_POOL}) (prefect_workers{{{OF_POOL}, status="ONLINE"}})'
_TAKEN = f"max by ({_POOL}) (target_work_pool:prefect_work_pool:saturation{{{OF_POOL}}})"

_STATUS = panels.mapping(
    {
        "1": ("ready", palette.GOOD),
        "2": ("not ready", palette.BAD),
        "3": ("paused", palette.WARNING),
        "0": ("other", palette.UNKNOWN),
    }
)
_PAUSED = panels.mapping({"0": ("no", palette.GOOD), "1": ("yes", palette.WARNING)})


def board() -> Board:
    """Return the board of capacity and lateness."""
    pools = f"label_values(prefect_work_pool_info{{{OF_TARGET}}}, work_pool)"
    queues = f"label_values(prefect_work_queue_priority{{{OF_POOL}}}, work_queue)"
    return Board(
        uid="prefect-work-pools",
        title="Work pools, queues and workers",
        description="Is there room, who waits, and how long yet.",
        chosen=[
            chosen("work_pool", "Work pool", pools),
            chosen("work_queue", "Work queue", queues),
        ],
        rows=[
            Row("", [_alone(), lateness.late_now(), lateness.oldest_now(), lateness.delay_now()]),
            Row("", [_online(), _fullest(), limits.fullest(), lateness.clearing_now()]),
            Row("Work pools", [_pools()]),
            Row("Queues", [_queues(), lateness.backlog(), lateness.clearing()]),
            Row(
                "Lateness",
                [
                    lateness.late(),
                    lateness.oldest(),
                    lateness.delays(),
                    _ended(),
                    lateness.waiting(),
                    lateness.causes(),
                ],
            ),
            Row("Workers", [_workers(), _heartbeats()]),
            Row("Limits", [limits.rows(), limits.taken(), _slots()]),
        ],
    )


def _alone() -> stat.Panel:
    needs = f"max by ({_POOL}) (prefect_work_pool_needs_worker{{{OF_POOL}}})"
    paused = f"max by ({_POOL}) (prefect_work_pool_paused{{{OF_POOL}}})"
    alone = f"{needs} * on ({_POOL}) (1 - {paused}) * on ({_POOL}) ({_ONLINE} == bool 0)"
    return (
        panels.stat_panel(
            "Work pools without a worker",
            "Work pools that run nothing without a worker, are not paused, and have none online:"
            " their runs become late.",
            panels.COUNT,
        )
        .with_target(instant(f"sum({alone})"))
        .thresholds(palette.rising(1, 1))
    )


def _online() -> stat.Panel:
    return (
        panels.stat_panel(
            "Workers online",
            "Workers of the chosen pools that Prefect calls online.",
            panels.COUNT,
        )
        .with_target(instant(f"sum({_ONLINE})"))
        .thresholds(palette.falling(1, 1))
    )


def _fullest() -> stat.Panel:
    return (
        panels.stat_panel(
            "Fullest work pool",
            "Share of its slots that are taken, of the pool where it is most. At 100 % further"
            " runs wait. Pools without a limit do not count.",
            panels.RATIO,
        )
        .with_target(instant(f"max({_TAKEN})"))
        .thresholds(limits.FULL)
    )


def _pools() -> table.Panel:
    """Show a row for each pool; the type comes with the first number."""
    kind = f"max by ({_POOL}, work_pool_type) (prefect_work_pool_info{{{OF_POOL}}})"
    paused = _of_pool("paused")
    here = {"target": "target", "work_pool": "work_pool"}
    return tables.table_panel(
        "Work pools",
        "One row a pool, with its workers online. Slots are shown where the pool has a limit. Click"
        " on a pool to choose it.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label(
                "work_pool", "Work pool", links.to_board("This pool", "prefect-work-pools", here)
            ),
            tables.Label("work_pool_type", "Type", width=100),
        ],
        [
            tables.Value("Late", f"sum by ({_POOL}) ({LATE})", thresholds=lateness.SOME),
            tables.Value(
                "Oldest late", f"max by ({_POOL}) ({OLDEST})", panels.SECONDS, lateness.WAIT
            ),
            tables.Value("Backlog", f"sum by ({_POOL}) (prefect_work_queue_backlog{{{OF_QUEUE}}})"),
            tables.Value("Online", _ONLINE, thresholds=palette.falling(1, 1)),
            tables.Value("Slots used", _of_pool("slots_used")),
            tables.Value("Slots", _of_pool("concurrency_limit")),
            tables.Value("Taken", _TAKEN, panels.RATIO, limits.FULL),
            tables.Value(
                "Status", _status("prefect_work_pool_status", OF_POOL, _POOL), words=_STATUS
            ),
            tables.Value(
                "Paused",
                f"{paused} * on ({_POOL}) group_left (work_pool_type) {kind}",
                words=_PAUSED,
            ),
        ],
    ).height(8)


def _of_pool(what: str) -> str:
    return f"max by ({_POOL}) (prefect_work_pool_{what}{{{OF_POOL}}})"


def _of_queue(what: str) -> str:
    return f"max by ({QUEUE}) (prefect_work_queue_{what}{{{OF_QUEUE}}})"


def _status(metric: str, selector: str, by: str) -> str:
    """Return 1 for ready, 2 for not ready, 3 for paused, and 0 for any other status."""
    numbered = [
        f'{number} * max by ({by}, status) ({metric}{{{selector}, status="{status}"}})'
        for number, status in enumerate(("READY", "NOT_READY", "PAUSED"), start=1)
    ]
    return f"sum by ({by}) ({' or '.join(numbered)})"


def _queues() -> table.Panel:
    polled = _of_queue("last_polled_timestamp_seconds")
    saturation = "target_work_pool_work_queue:prefect_work_queue:saturation"
    return tables.table_panel(
        "Work queues",
        "One row a queue. Queues of a pool are served by priority, 1 first. Polled is how long ago"
        " a worker last asked for runs: with a backlog it should be seconds.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label("work_pool", "Work pool"),
            tables.Label("work_queue", "Work queue"),
        ],
        [
            tables.Value("Backlog", BACKLOG, thresholds=lateness.SOME),
            tables.Value(
                "Oldest late", f"max by ({QUEUE}) ({OLDEST})", panels.SECONDS, lateness.WAIT
            ),
            tables.Value("Time to clear", CLEARED, panels.SECONDS, lateness.CLEARING),
            tables.Value("Polled", f"time() - {polled}", panels.SECONDS, palette.rising(60, 300)),
            tables.Value("Priority", _of_queue("priority")),
            tables.Value("Slots used", _of_queue("slots_used")),
            tables.Value("Slots", _of_queue("concurrency_limit")),
            tables.Value(
                "Taken", f"max by ({QUEUE}) ({saturation}{{{OF_QUEUE}}})", panels.RATIO, limits.FULL
            ),
            tables.Value(
                "Status", _status("prefect_work_queue_status", OF_QUEUE, QUEUE), words=_STATUS
            ),
            tables.Value("Paused", _of_queue("paused"), words=_PAUSED),
        ],
    ).height(8)


def _ended() -> timeseries.Panel:
    runs = each_interval(f"prefect_work_pool_flow_runs_finished_total{{{OF_QUEUE}}}")
    panel = panels.bars(
        "Flow runs by outcome",
        "Flow runs of these pools and queues that ended in the time of each bar. Many that"
        " crashed at once: look at the pool's infrastructure.",
    ).with_target(ranged(f"round(sum by (outcome) ({runs}))", "{{outcome}}"))
    return panels.colored(panel, palette.OUTCOMES)


def _workers() -> timeseries.Panel:
    workers = f"max by ({_POOL}, status) (prefect_workers{{{OF_POOL}}})"
    return panels.graph(
        "Workers by status",
        "Workers that sent a heartbeat within a day. Prefect calls them offline some 90 s after the"
        " last one.",
        panels.COUNT,
    ).with_target(ranged(workers, "{{work_pool}} {{status}}"))


def _heartbeats() -> table.Panel:
    heard = "prefect_worker_last_heartbeat_timestamp_seconds"
    silent = f"time() - max by ({_POOL}, worker) ({heard}{{{OF_POOL}}})"
    return (
        tables.table_panel(
            "Silent for longest",
            "The 20 workers whose last heartbeat is oldest. One in a container has a new name at"
            " each start, and an old name goes after a day.",
            [
                tables.Label("target", "Target", width=90),
                tables.Label("work_pool", "Work pool", width=140),
                tables.Label("worker", "Worker"),
            ],
            [
                tables.Value(
                    "Silent", f"topk(20, {silent})", panels.SECONDS, palette.rising(90, 300)
                )
            ],
        )
        .span(12)
        .height(8)
    )


def _slots() -> timeseries.Panel:
    return panels.graph(
        "Work pools: slots taken",
        "Share of each pool's slots that are taken. At 100 % further runs wait. Pools without a"
        " limit have no line.",
        panels.RATIO,
    ).with_target(ranged(_TAKEN, "{{work_pool}}"))
