"""For `opentelemetry-instrument`, and whoever wires OpenTelemetry's instrumentors by hand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from prefect_instrumentation import _clients, _prefect, _settings, _setup


class PrefectInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped for mypy
    """Instrument Prefect: `PrefectInstrumentor().instrument(tracer_provider=None)`.

    Without a provider the global one is used, and where there is none, ours is set up from the
    `OTEL_*` variables when the first run starts.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what must be installed."""
        return ("prefect >= 3.4, < 4",)

    def _instrument(self, **kwargs: Any) -> None:  # noqa: ANN401 - the contract's signature
        _setup.instrument(tracer_provider=kwargs.get("tracer_provider"))
        _setup.write_logs(_settings.current(), "none")

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        _prefect.uninstrument()
        _prefect.unwatch_secrets()
        _clients.deactivate_clients()
        _setup.stop_logs()
