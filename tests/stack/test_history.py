"""What `down` keeps, and what `down --volumes` leaves: all, and nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stack.asking import eventually, log_lines, query, spans, value
from stack.compose import Stack
from stack.installing import leftovers

pytestmark = pytest.mark.stack

_TOTAL = "sum(prefect_flow_runs_finished_total)"

# Runs that are only scheduled do not count: a deployment that is made anew loses those, and the
# scheduler makes them again.
_ENDED = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}


@dataclass(frozen=True, slots=True)
class History:
    """What a stack remembers: ended runs in PostgreSQL, and the exporter's count of them."""

    ended: int
    finished: float


def _history(stack: Stack) -> History:
    with stack.prefect() as client:
        runs = int(client.post("/flow_runs/count", json=_ENDED).raise_for_status().json())
    finished = eventually(lambda: value(stack, _TOTAL), what=_TOTAL)
    return History(runs, finished or 0)


def test_down_and_up_keep_history(whole: Stack, *, full: bool) -> None:
    """Rows, counters, samples, traces and lines are there after `down` and `up`."""
    before = _history(whole)
    trace = _kept_trace(whole) if full else ""
    whole.down()
    whole.up()
    after = _history(whole)

    assert after.ended >= before.ended > 0
    assert after.finished >= before.finished
    assert [] == query(whole, "resets(prefect_flow_runs_finished_total[1h]) > 0")
    assert query(whole, "count_over_time(prefect_server_up[30m:15s] offset 2m) > 0")
    if full:
        assert eventually(lambda: spans(whole, trace), what=f"trace {trace} in Jaeger")
        assert eventually(lambda: log_lines(whole, f'| trace_id="{trace}"'), what="its lines")


def _kept_trace(stack: Stack) -> str:
    lines = eventually(
        lambda: log_lines(stack, '| trace_id!="" | detected_level="error"'),
        what="a failed run in Loki",
    )
    trace_id = lines[0][0]["trace_id"]
    eventually(lambda: spans(stack, trace_id), what=f"trace {trace_id} in Jaeger")
    return trace_id


def test_down_with_volumes_leaves_nothing(whole: Stack) -> None:
    """No container, volume or network of the project is left."""
    whole.down("--volumes")

    assert [] == leftovers(whole)
