"""Numbers of Prefect's that nothing bounds there."""

from __future__ import annotations

import math
from uuid import UUID

import msgspec
import pytest

from prefect_exporter.report.reading import amounts
from prefect_exporter.report.reading.flow_runs import flow_run_row
from prefect_exporter.report.store import Store
from prefect_exporter.report.wire import ToldFlowRun

RUN = {"id": UUID(int=1), "name": "r", "flow_id": UUID(int=2), "run_count": 1}


@pytest.mark.parametrize("retries", [10**30, -(10**30), 2**63, None])
@pytest.mark.parametrize("seconds", [1e308, -5.0, 0.0])
def test_any_amount_can_be_kept_and_summed(retries: int | None, seconds: float) -> None:
    """A flow with ``retries=10**30`` must not end the report of everybody else."""
    told = msgspec.convert(
        {**RUN, "total_run_time": seconds, "empirical_policy": {"retries": retries}}, ToldFlowRun
    )
    with Store(":memory:") as store:
        store.add([flow_run_row(told)])
        ((kept, ran),) = store.database.execute("SELECT retries, seconds FROM flow_runs")

    assert -1 <= kept <= amounts.MOST_RETRIES
    assert 0 <= ran
    assert math.isfinite(100_000 * ran**4)


def test_usual_amounts_are_kept_as_they_are() -> None:
    """Bounds change nothing that can be."""
    assert (3, -1, 0) == (amounts.retries(3), amounts.retries(None), amounts.retries(0))
    assert 12.5 == amounts.seconds(12.5)
