"""OpenTelemetry's SDK, set up by its own variables; whoever imports this imports the SDK."""

from __future__ import annotations

import os
from collections.abc import Mapping

from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from prefect_instrumentation._exporters import factories
from prefect_instrumentation._guard import logger
from prefect_instrumentation._pipeline import Pipeline
from prefect_instrumentation._quiet import quieten
from prefect_instrumentation._resource import resource
from prefect_instrumentation._settings import Settings


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether the user wants no telemetry at all."""
    return environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def build(settings: Settings, environ: Mapping[str, str]) -> tuple[TracerProvider, list[Pipeline]]:
    """Return a provider, and the pipelines that its spans take.

    The provider does not end by itself when the process does.
    """
    quiet = quieten(environ)
    pipelines = []
    for factory in factories(environ):
        try:
            pipelines.append(Pipeline(factory, environ))
        except Exception as error:  # noqa: BLE001 - an exporter's check of its own variables
            logger.warning("An exporter of spans cannot be set up: %s", quiet.safe(str(error)))
    provider = TracerProvider(
        resource=resource(settings.environment, settings.service_name), shutdown_on_exit=False
    )
    for pipeline in pipelines:
        provider.add_span_processor(pipeline)
    return provider, pipelines


def renew(provider: TracerProvider) -> None:
    """Correct the process id in a forked child; the SDK renews `service.instance.id` alone."""
    update = getattr(provider, "_update_resource", None)
    if update is not None:
        update(Resource({"process.pid": os.getpid()}))
