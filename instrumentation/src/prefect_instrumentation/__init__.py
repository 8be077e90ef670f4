"""OpenTelemetry spans and correlated logs for Prefect 3 flows and tasks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    "annotate",
    "current_trace",
    "record_io",
    "setup",
    "traced",
]

_HOMES = {
    "CorrelationMiddleware": "middleware",
    "PrefectInstrumentor": "instrumentor",
    "Trace": "_traced",
    "annotate": "_traced",
    "current_trace": "_traced",
    "record_io": "_traced",
    "setup": "_setup",
    "traced": "_traced",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has a type of its own, see above
    """Import a public name when it is used, so that nobody pays for what he does not use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
