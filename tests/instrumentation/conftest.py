"""A provider of OpenTelemetry's SDK that keeps all spans; a process can have but one."""

from __future__ import annotations

import os

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from prefect_instrumentation import _provider, _settings

os.environ["DO_NOT_TRACK"] = "1"  # else Prefect reports the first flow of a terminal to its makers


@pytest.fixture(scope="session", name="_exporter")
def _session_exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def spans(_exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """Return what has the spans that end during the test."""
    _provider.use_provider(trace.get_tracer_provider(), _settings.current())
    _exporter.clear()
    return _exporter
