"""Requests that flows send: traced by OpenTelemetry's instrumentations, where they are installed.

Prefect talks to its own API through httpx too. Those requests are the engine's, not the user's:
`prefect_instrumentation._prefect.quiet_clients` keeps them as they are.

Call it when the first run starts: importing the instrumentations takes 0.1 s, and by then whoever
else instruments the libraries, such as `opentelemetry-instrument`, has done so.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

import wrapt
from opentelemetry.instrumentation.environment_variables import (
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS,
)
from opentelemetry.trace import TracerProvider

from prefect_instrumentation._guard import guarded


@dataclass(frozen=True, slots=True)
class _Library:
    """A library, and who instruments it.

    Args:
        name: as `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` has it.
        instrumentor: class in `opentelemetry.instrumentation.<name>`.
    """

    name: str
    instrumentor: str


LIBRARIES = (
    _Library("httpx", "HTTPXClientInstrumentor"),
    _Library("requests", "RequestsInstrumentor"),
)

_undo: list[Callable[[], object]] = []
_waiting: set[_Library] = set()
_provider: TracerProvider | None = None


def activate_clients(
    tracer_provider: TracerProvider | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Make spans of the requests that user code sends by httpx and requests, and headers in them.

    This needs `opentelemetry-instrumentation-httpx` and `-requests`. A library that somebody else
    has instrumented stays so; one that `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` names stays without.

    Args:
        tracer_provider: makes the spans in place of the global one.
        environ: where that variable is.
    """
    global _provider  # noqa: PLW0603 - one process has one httpx
    _provider = tracer_provider
    disabled = environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").replace(" ", "").split(",")
    for library in LIBRARIES:
        if {library.name, "*"}.isdisjoint(disabled) and library not in _waiting:
            _waiting.add(library)
            wrapt.register_post_import_hook(_activator(library), library.name)


def deactivate_clients() -> None:
    """Leave the libraries as they were before `activate_clients`."""
    _waiting.clear()
    while _undo:
        _undo.pop()()


def _activator(library: _Library) -> Callable[[ModuleType], None]:
    @guarded
    def activate(_module: ModuleType) -> None:
        home = f"opentelemetry.instrumentation.{library.name}"
        if library not in _waiting or importlib.util.find_spec(home) is None:
            return
        instrumentor = getattr(importlib.import_module(home), library.instrumentor)()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=_provider)
            _undo.append(instrumentor.uninstrument)

    return activate
