"""OpenTelemetry's SDK, set up by its own variables; whoever imports this imports the SDK."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from prefect_instrumentation._guard import guarded, logger
from prefect_instrumentation._provider import span_pipeline
from prefect_instrumentation._provider.exporters import E, Factory, Makers, factories
from prefect_instrumentation._provider.quiet import Quiet, quieten
from prefect_instrumentation._provider.span_pipeline import Pipeline
from prefect_instrumentation._settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

    from prefect_instrumentation._provider.log_pipeline import LogPipeline
    from prefect_instrumentation._provider.metric_pipeline import MetricPipeline

P = TypeVar("P")


def build_traces(
    resource: Resource, environ: Mapping[str, str]
) -> tuple[TracerProvider, list[Pipeline]]:
    """Return a provider, and the pipelines that its spans take.

    The provider does not end by itself when the process does; nor do the others.
    """
    pipelines = _pipelines(span_pipeline.EXPORTERS, Pipeline, environ, "otlp")
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for pipeline in pipelines:
        provider.add_span_processor(pipeline)
    return provider, pipelines


def metric_pipelines(settings: Settings, environ: Mapping[str, str]) -> list[MetricPipeline]:
    """Return the pipelines that metrics take."""
    from prefect_instrumentation._provider import metric_pipeline  # noqa: PLC0415 - dear, and optional

    default = "otlp" if settings.metrics and not settings.pushgateway else "none"
    return _pipelines(metric_pipeline.EXPORTERS, metric_pipeline.MetricPipeline, environ, default)


def build_metrics(resource: Resource, readers: Sequence[MetricReader]) -> MeterProvider:
    """Return a provider whose metrics these read."""
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - as above

    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(guarded(_forget), provider, readers))
    return provider


def build_logs(
    resource: Resource, environ: Mapping[str, str]
) -> tuple[LoggerProvider, list[LogPipeline]]:
    """Return a provider, and the pipelines that its log records take."""
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415 - as above

    from prefect_instrumentation._provider import log_pipeline  # noqa: PLC0415 - as above

    pipelines = _pipelines(log_pipeline.EXPORTERS, log_pipeline.LogPipeline, environ)
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    for pipeline in pipelines:
        provider.add_log_record_processor(pipeline)
    return provider, pipelines


def describe(provider: object, resource: Resource) -> None:
    """Have a provider say what the resource says, as in a forked child, whose id is another."""
    update = getattr(provider, "_update_resource", None)
    if update is not None:
        update(resource)


def _pipelines(
    makers: Makers[E],
    pipeline: Callable[[Factory[E], Mapping[str, str]], P],
    environ: Mapping[str, str],
    default: str = "none",
) -> list[P]:
    quiet = _quiet()
    made = []
    for factory in factories(makers, environ, default):
        try:
            made.append(pipeline(factory, environ))
        except Exception as error:  # noqa: BLE001 - an exporter's check of its own variables
            logger.warning(
                "An exporter of %s cannot be set up: %s",
                makers.signal.name,
                quiet.safe(str(error)),
            )
    return made


@functools.cache
def _quiet() -> Quiet:
    return quieten(os.environ)


def _forget(provider: MeterProvider, readers: Sequence[MetricReader]) -> None:
    """Have nothing in a forked child that its parent has measured, and sends itself."""
    consumer = provider._measurement_consumer  # noqa: SLF001 - the SDK has no other way
    consumer._lock = threading.Lock()  # noqa: SLF001 - another thread may have had it
    for reader in readers:
        consumer.remove_metric_reader(reader)
        consumer.add_metric_reader(reader)
