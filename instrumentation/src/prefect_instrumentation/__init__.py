"""OpenTelemetry spans and correlated logs for Prefect 3 flows and tasks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_instrumentation._context import copy_context
    from prefect_instrumentation._correlation import correlation
    from prefect_instrumentation._errors.context import error_context
    from prefect_instrumentation._logs.structlog_bridge import add_context
    from prefect_instrumentation._meters.public import (
        counter,
        measured,
        register_circuit_breaker,
        register_dead_letters,
        timer,
    )
    from prefect_instrumentation._setup import setup
    from prefect_instrumentation._traced import (
        Trace,
        annotate,
        current_trace,
        record_io,
        traced,
    )
    from prefect_instrumentation.instrumentor import PrefectInstrumentor
    from prefect_instrumentation.middleware import CorrelationMiddleware

__version__ = "0.1.0"

__all__ = [
    "CorrelationMiddleware",
    "PrefectInstrumentor",
    "Trace",
    "__version__",
    "add_context",
    "annotate",
    "copy_context",
    "correlation",
    "counter",
    "current_trace",
    "error_context",
    "measured",
    "record_io",
    "register_circuit_breaker",
    "register_dead_letters",
    "setup",
    "timer",
    "traced",
]

_HOMES = {
    "CorrelationMiddleware": "middleware",
    "PrefectInstrumentor": "instrumentor",
    "Trace": "_traced",
    "add_context": "_logs.structlog_bridge",
    "annotate": "_traced",
    "copy_context": "_context",
    "correlation": "_correlation",
    "counter": "_meters.public",
    "current_trace": "_traced",
    "error_context": "_errors.context",
    "measured": "_meters.public",
    "record_io": "_traced",
    "register_circuit_breaker": "_meters.public",
    "register_dead_letters": "_meters.public",
    "setup": "_setup",
    "timer": "_meters.public",
    "traced": "_traced",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has a type of its own, see above
    """Import a public name when it is used, so that nobody pays for what he does not use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
