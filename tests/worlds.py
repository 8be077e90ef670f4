"""Runs, deployments and a polling exporter around them, in as few words as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prometheus_client.core import Metric

from contexts import context_of, ledger_of, settings_of
from fakes import START_US, FakePrefect, after_seconds, flow_run_event
from fronts import plain
from prefect_exporter.collectors.base import Collector, Context, StateT
from prefect_exporter.exposition import assemble, render
from prefect_exporter.facts import Series
from prefect_exporter.metrics import Family, Histogram, Labels
from prefect_exporter.moments import SECOND
from prefect_exporter.wire import Deployment, FlowRun, State, TaskRun

ResultT = TypeVar("ResultT")

FLOW = UUID(int=1)


def run_id(number: int) -> UUID:
    """Return the id of the run with this number."""
    return UUID(int=1000 + number)


def deployment_id(number: int) -> UUID:
    """Return the id of the deployment with this number."""
    return UUID(int=500 + number)


def prefect_of(**fields: Any) -> FakePrefect:  # noqa: ANN401  # the fake's own fields
    """Return a Prefect with one flow, ``etl``."""
    return FakePrefect(flow_names={FLOW: "etl"}, **fields)


def flow_run(number: int, **fields: Any) -> FlowRun:  # noqa: ANN401  # the row's own fields
    """Return a flow run that was started once, at the fake's first moment."""
    given: dict[str, Any] = {
        "flow_id": FLOW,
        "run_count": 1,
        "total_run_time": 1.0,
        "start_time": after_seconds(0),
    }
    return FlowRun(id=run_id(number), **(given | fields))


def ended(
    number: int,
    seconds: float,
    state_type: str = "COMPLETED",
    **fields: Any,  # noqa: ANN401  # the row's own fields
) -> FlowRun:
    """Return a flow run that ended so long after the fake's first moment."""
    state = {"state_type": state_type, "state_name": state_type.title()}
    return flow_run(number, **({**state, "end_time": after_seconds(seconds)} | fields))


def waiting(
    number: int,
    state_type: str,
    state_name: str,
    **fields: Any,  # noqa: ANN401  # the row's own fields
) -> FlowRun:
    """Return a flow run that has not ended, in its state since the fake's first moment."""
    given = {
        "state": State(state_type, state_name, after_seconds(0)),
        "state_type": state_type,
        "state_name": state_name,
        "expected_start_time": after_seconds(0),
    }
    return flow_run(number, **(given | fields))


def task_run(
    number: int,
    seconds: float | None,
    state_type: str = "COMPLETED",
    **fields: Any,  # noqa: ANN401  # the row's own fields
) -> TaskRun:
    """Return a task run of flow run 0; it ended so long after the first moment, or has not."""
    given: dict[str, Any] = {
        "task_key": "load-0a1b2c3d",
        "run_count": 1,
        "total_run_time": 0.5,
        "flow_run_id": run_id(0),
        "state_type": state_type,
        "state_name": state_type.title(),
        "start_time": after_seconds(0),
        "end_time": None if seconds is None else after_seconds(seconds),
    }
    return TaskRun(id=run_id(number), **(given | fields))


def put(prefect: FakePrefect, *rows: FlowRun | TaskRun | Deployment) -> None:
    """Let Prefect have rows."""
    for row in rows:
        match row:
            case FlowRun():
                prefect.flow_rows[row.id] = row
            case TaskRun():
                prefect.task_rows[row.id] = row
            case Deployment():
                prefect.deployment_rows[row.id] = row


def tell(prefect: FakePrefect, row: FlowRun, before: str = "RUNNING", late: float = 0.0) -> None:
    """Let Prefect have the event of a run's end, readable *late* seconds from now."""
    assert row.end_time is not None
    at_us = round((row.end_time - after_seconds(0)).total_seconds() * SECOND) + START_US
    state = row.state_type or "", row.state_name or ""
    event = flow_run_event(row, at_us, before, state, [("flow", "etl")])
    prefect.event_rows.append((prefect.now_us + round(late * SECOND), event))


def deployment(
    number: int,
    name: str,
    flow: UUID = FLOW,
    **fields: Any,  # noqa: ANN401  # the row's own fields
) -> Deployment:
    """Return a deployment."""
    return Deployment(deployment_id(number), name, flow, **fields)


@contextmanager
def collecting(folder: Path, prefect: FakePrefect, **settings: str) -> Iterator[Context]:
    """Open the ledger in *folder*, as an exporter's process does, and close it in the end."""
    given = settings_of(**settings)
    context = context_of(prefect, ledger_of(folder / "ledger", given), given)
    try:
        yield context
    finally:
        context.store.close()


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run *work* to its end."""
    return asyncio.run(work)


def poll(collector: Collector[StateT], context: Context, previous: StateT | None = None) -> StateT:
    """Poll once."""
    return run(collector.poll(context, previous))


def counts(context: Context, family: str) -> dict[Labels, float]:
    """Return what the ledger has counted in a family, by the labels without the target."""
    scalars = context.store.ledger.tally.scalars[family]
    return {labels[1:]: value for labels, value in scalars.items()}


def total(context: Context, family: str) -> float:
    """Return the sum of a family."""
    return sum(counts(context, family).values())


def histogram(context: Context, series: Series) -> Histogram:
    """Return one histogram as it was counted."""
    return context.store.ledger.tally.histograms[series.family][series.labels]


def text_of(*metrics: Metric) -> str:
    """Return metrics as the text format has them."""
    return plain(assemble(1, [render(metric) for metric in metrics]).text).decode()


def samples(families: Iterable[Family[StateT]], state: StateT) -> dict[str, float]:
    """Return the values that a state shows by name and labels, those in order and no target."""
    return {
        f"{family.name}{{{','.join(sorted(labels))}}}": value
        for family in families
        for values, value in family.read(state)
        for labels in [
            [f'{label}="{text}"' for label, text in zip(family.labels, values, strict=True)]
        ]
    }
