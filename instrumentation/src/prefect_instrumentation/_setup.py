"""The ways in meet here: what is instrumented, and with which settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry.trace import TracerProvider

from prefect_instrumentation import _children, _prefect, _provider, _secrets, _settings
from prefect_instrumentation._failures import FailureObserver
from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._log_context import LogContextObserver
from prefect_instrumentation._log_settings import Format
from prefect_instrumentation._logs import written
from prefect_instrumentation._observers import Later, Observers
from prefect_instrumentation._runs import Observer
from prefect_instrumentation._settings import Settings
from prefect_instrumentation._spans import SpanObserver


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of a call of `setup`."""

    service_name: str | None
    environment: str | None
    tracer_provider: TracerProvider | None
    logs: bool | None
    meters: bool | None

    def settings(self) -> Settings:
        settings = _settings.of_environment(self.environment)
        return replace(
            settings,
            service_name=self.service_name or settings.service_name,
            metrics=bool(self.meters) or settings.metrics,
        )


_calls: list[_Call] = []


@guarded
def setup(
    *,
    service_name: str | None = None,
    environment: str | None = None,
    tracer_provider: TracerProvider | None = None,
    logs: bool | None = None,
    meters: bool | None = None,
) -> None:
    """Make spans of all flow runs and task runs of this process, and send them.

    The `OTEL_*` variables say where to, and win over the arguments. Those of the first call count.
    It never raises: of a setting that is of no use the log tells.

    Args:
        service_name: `service.name` of the spans, `prefect` by default.
        environment: `deployment.environment.name` of the spans, such as `production`.
        tracer_provider: makes the spans in place of the global one. Whoever made it shuts it down;
            the two names are then of no use.
        logs: write log lines as `PREFECT_INSTRUMENTATION_LOGS` says, `json` by default. Prefect's
            logging stays as it is unless this or that variable says otherwise.
        meters: send metrics by OTLP unless `OTEL_METRICS_EXPORTER` says otherwise.
    """
    call = _Call(service_name, environment, tracer_provider, logs, meters)
    if not _calls:
        _calls.append(call)
    elif call != _calls[0]:
        once("setup", "setup() has been called before, with other arguments: those stay in force")
        call = _calls[0]
    settings = call.settings()
    _secrets.refresh()  # a program may have set variables before it calls this
    instrument(settings, call.tracer_provider)
    _provider.ensure_provider(settings)
    write_logs(settings, "json" if call.logs else "none")
    if call.tracer_provider is None:
        _children.inherit(
            os.environ,
            service_name=call.service_name,
            environment=call.environment,
            logs=bool(call.logs),
            meters=bool(call.meters),
        )


@guarded
def plug_in() -> None:
    """Make spans of all runs of this process, and write its log lines, unless told otherwise.

    For Prefect's plugin system, which is also told to load the plugin by `setup`, for the processes
    that inherit its variables, and so does it in this one if Prefect is imported after it.
    """
    _children.keep_deployment(os.environ)
    instrument()
    # A call has set variables since these were read: if it alone has the plugin loaded, to `none`.
    write_logs(_settings.read(os.environ) if _calls else _settings.current(), "json")


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


@guarded
def write_logs(settings: Settings, default: Format) -> None:
    """Write log lines in the format of the settings, or in that one where they say nothing."""
    chosen = settings.logs.format or default
    if chosen == "none":
        return
    from prefect_instrumentation._logs.installing import install  # noqa: PLC0415 - dear

    install(replace(settings, logs=replace(settings.logs, format=chosen)))


def stop_logs() -> None:
    """Give Prefect its own logging back."""
    if written() is None:
        return
    from prefect_instrumentation._logs.installing import uninstall  # noqa: PLC0415 - as above

    uninstall()


def observe(chosen: Settings, tracer_provider: TracerProvider | None = None) -> None:
    """Make spans of runs, as `instrument`; other code of this process has asked for nothing."""
    if tracer_provider is not None:
        _provider.use_provider(tracer_provider, chosen)
    spans = SpanObserver(
        partial(_begin, chosen, tracer_provider),
        partial(_provider.flush, chosen.exit_timeout),
        _provider.flush_soon,
        tracer_provider,
        chosen.link_after,
    )
    # A run's span is current for what the others say of it.
    observer = Observers(spans, LogContextObserver(), FailureObserver(written), Later(_meters))
    # Prefect's plugin system may have been here before, and meant the global one.
    _prefect.instrument(observer, instead=tracer_provider is not None)
    _prefect.watch_secrets()


def _meters() -> Observer | None:
    """Meter runs where somebody reads meters; the provider is there, since spans come first."""
    from opentelemetry import metrics  # noqa: PLC0415 - as above

    if type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics."):
        return None  # the API's own, which keep nothing
    from prefect_instrumentation._meters.observer import MeterObserver  # noqa: PLC0415 - as above

    return MeterObserver()


def _begin(settings: Settings, tracer_provider: TracerProvider | None) -> None:
    """Get ready for the first run."""
    _provider.ensure_provider(settings)
    # Not before: it takes 0.1 s, and by now others have instrumented what they want to.
    from prefect_instrumentation._clients import activate_clients  # noqa: PLC0415

    guarded(activate_clients)(tracer_provider)
