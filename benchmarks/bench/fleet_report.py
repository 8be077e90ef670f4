"""A fleet's figures as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.table import Table

from bench.fleet import Fleet, ShardCost
from bench.tables import filled, mib, new_table


def fleet_tables(measured: Fleet | None) -> Iterator[Table]:
    """Yield the shards as columns, and what was beside them; nothing without any."""
    if measured is None:
        return
    plan, shards = measured.plan, measured.shards
    title = f"{plan.workspaces} workspaces, {plan.flow_runs:,} a day"
    rows: dict[str, Callable[[ShardCost], str]] = {
        "workspaces": lambda s: str(s.targets),
        "flow runs counted a second": lambda s: f"{s.runs:.2f}",
        "task runs counted a second": lambda s: f"{s.task_runs:.1f}",
        "requests/min": lambda s: f"{s.requests:,.0f}",
        "CPU, cores": lambda s: f"{s.cores:.2f}",
        "peak RSS, MiB": lambda s: mib(s.memory),
        "series": lambda s: f"{s.series:,}",
        "text, kB": lambda s: f"{s.text / 1e3:,.0f}",
        "zipped, kB": lambda s: f"{s.zipped / 1e3:,.0f}",
        "scrape, s (most)": lambda s: f"{s.scrape:.2f} ({s.slowest_scrape:.2f})",
        "newest end is behind, s (most)": lambda s: f"{s.lag:.0f} ({s.most_lag:.0f})",
        "ledger, MB": lambda s: f"{s.ledger / 1e6:.1f}",
        "failed polls": lambda s: f"{s.failures:.0f}",
    }
    table = new_table(title, *(f"shard {number}" for number in range(len(shards))))
    yield filled(table, {name: [show(s) for s in shards] for name, show in rows.items()})
    group, slowest = measured.slowest_rules
    beside = {
        "samples a second": f"{measured.samples:,.0f}",
        "series": f"{measured.head_series:,.0f}",
        "CPU, cores": f"{measured.prometheus_cores:.2f}",
        "peak RSS, MiB": mib(measured.prometheus_memory),
        "all rules, s": f"{measured.rules_seconds:.2f}",
        "slowest group of rules, s": f"{slowest:.2f} ({group})",
        "simulated Prefects' CPU, cores": f"{measured.prefect_cores:.2f}",
        "load average": f"{measured.load[0]:.1f}, {measured.load[1]:.1f}",
    }
    yield filled(new_table("Prometheus", ""), {name: [cell] for name, cell in beside.items()})
