"""What labels say of runs that this process speaks of from outside, as a worker does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from opentelemetry import trace

from prefect_instrumentation import _correlation, _propagation

MOST = 1000
"""Runs that are known at a time; the one that was spoken of longest ago goes first."""

_lock = Lock()
_known: OrderedDict[str, Mapping[str, object]] = OrderedDict()


def note(flow_run_id: str, labels: Mapping[str, object]) -> None:
    """Know the correlation id and the trace that a run's labels carry, if they do."""
    found: dict[str, object] = {}
    if correlation_id := _correlation.labelled(labels):
        found["correlation_id"] = correlation_id
    if context := _propagation.from_labels(labels):
        span = trace.get_current_span(context).get_span_context()
        found["trace_id"] = f"{span.trace_id:032x}"
    if not found:
        return
    with _lock:
        _known[flow_run_id] = found
        _known.move_to_end(flow_run_id)
        while len(_known) > MOST:
            _known.popitem(last=False)


def of(flow_run_id: object) -> Mapping[str, object]:
    """Return `correlation_id` and `trace_id` of a run, as far as they are known."""
    return _known.get(flow_run_id, {}) if isinstance(flow_run_id, str) else {}


def forget() -> None:
    """Know nothing any more."""
    with _lock:
        _known.clear()
