"""The ways in meet here: what is instrumented, and with which settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry.trace import TracerProvider

from prefect_instrumentation import _children, _prefect, _provider, _settings
from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._settings import Settings
from prefect_instrumentation._spans import SpanObserver


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of a call of `setup`."""

    service_name: str | None
    environment: str | None
    tracer_provider: TracerProvider | None

    def settings(self) -> Settings:
        settings = _settings.current()
        return replace(
            settings,
            service_name=self.service_name or settings.service_name,
            environment=self.environment or settings.environment,
        )


_calls: list[_Call] = []


@guarded
def setup(
    *,
    service_name: str | None = None,
    environment: str | None = None,
    tracer_provider: TracerProvider | None = None,
) -> None:
    """Make spans of all flow runs and task runs of this process, and send them.

    The `OTEL_*` variables say where to, and win over the arguments. Those of the first call count.
    It never raises: of a setting that is of no use the log tells.

    Args:
        service_name: `service.name` of the spans, `prefect` by default.
        environment: `deployment.environment.name` of the spans, such as `production`.
        tracer_provider: makes the spans in place of the global one. Whoever made it shuts it down;
            the two names are then of no use.
    """
    call = _Call(service_name, environment, tracer_provider)
    if not _calls:
        _calls.append(call)
    elif call != _calls[0]:
        once("setup", "setup() has been called before, with other arguments: those stay in force")
        call = _calls[0]
    instrument(call.settings(), call.tracer_provider)
    _provider.ensure_provider(call.settings())
    if call.tracer_provider is None:
        _children.inherit(os.environ, call.service_name, call.environment)


@guarded
def instrument(
    settings: Settings | None = None, tracer_provider: TracerProvider | None = None
) -> None:
    """Make spans of all runs of this process; the SDK is set up when the first one starts.

    Args:
        settings: those of the environment by default.
        tracer_provider: makes the spans in place of the global one.
    """
    chosen = settings or _settings.current()
    _provider.ask(chosen)
    observe(chosen, tracer_provider)


def observe(chosen: Settings, tracer_provider: TracerProvider | None = None) -> None:
    """Make spans of runs, as `instrument`; other code of this process has asked for nothing."""
    if tracer_provider is not None:
        _provider.use_provider(tracer_provider, chosen)
    observer = SpanObserver(
        partial(_begin, chosen, tracer_provider),
        partial(_provider.flush, chosen.exit_timeout),
        _provider.flush_soon,
        tracer_provider,
        chosen.link_after,
    )
    # Prefect's plugin system may have been here before, and meant the global one.
    _prefect.instrument(observer, instead=tracer_provider is not None)


def _begin(settings: Settings, tracer_provider: TracerProvider | None) -> None:
    """Get ready for the first run."""
    _provider.ensure_provider(settings)
    # Not before: it takes 0.1 s, and by now others have instrumented what they want to.
    from prefect_instrumentation._clients import activate_clients  # noqa: PLC0415

    guarded(activate_clients)(tracer_provider)
