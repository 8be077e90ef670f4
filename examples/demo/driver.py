"""Keep a Prefect server gently busy, and tell what became of the runs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client.parser import text_string_to_metric_families

from demo.api import ask
from demo.deployments import WORKED_POOL, start_run

ROUND = ("steady", "failing", "flaky", "crashing", "parent", "slow", "timing-out")
"""What is run, in turn."""

REPORT = "workspace-report"
"""What is run once, when there is something to report on."""

_ROUNDS_BEFORE_REPORT = 2

# Each run starts a Python process; more than this at a time would only queue for the processor.
_MOST_WAITING = 2


class Driver:
    """Start the demo's runs, one after the other.

    Args:
        client: Asks the Prefect API.
        ids: Each deployment's name with its id.
    """

    def __init__(self, client: httpx.Client, ids: Mapping[str, str]) -> None:
        self._client = client
        names = itertools.chain(ROUND * _ROUNDS_BEFORE_REPORT, [REPORT], itertools.cycle(ROUND))
        self._next: Iterator[str] = (ids[name] for name in names)

    def step(self) -> None:
        """Start the next run, unless as many wait already as the worker can take on."""
        if self._waiting() < _MOST_WAITING:
            start_run(self._client, next(self._next))

    def _waiting(self) -> int:
        due = {
            "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}},
            "next_scheduled_start_time": {"before_": datetime.now(UTC).isoformat()},
        }
        pool = {"name": {"any_": [WORKED_POOL]}}
        return int(ask(self._client, "/flow_runs/count", flow_runs=due, work_pools=pool))


def counted_by_exporter(metrics_url: str) -> Counter[str]:
    """Return the finished flow runs by outcome, as the exporter counted them."""
    text = httpx.get(metrics_url, timeout=10.0, trust_env=False).raise_for_status().text
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "prefect_flow_runs_finished_total":
                counts[sample.labels["outcome"]] += int(sample.value)
    return +counts


def held_by_server(client: httpx.Client) -> Counter[str]:
    """Return the finished flow runs by outcome, as the server has them in its database."""
    now = datetime.now(UTC)
    history = ask(
        client,
        "/flow_runs/history",
        history_start=(now - timedelta(days=1)).isoformat(),
        history_end=(now + timedelta(days=1)).isoformat(),
        history_interval_seconds=timedelta(days=2).total_seconds(),
        flow_runs={"end_time": {"is_null_": False}},
    )
    counts: Counter[str] = Counter()
    for bucket in history:
        for state in bucket["states"]:
            counts[_outcome(state["state_type"], state["state_name"])] += state["count_runs"]
    return counts


def _outcome(state_type: str, state_name: str) -> str:
    named = {"Cached": "cached", "TimedOut": "timed_out"}
    return named.get(state_name, state_type.lower())
