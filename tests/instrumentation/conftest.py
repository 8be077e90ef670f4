"""What tests share: the spans of this process, and one Prefect server for real runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import logged_scene
from prefect_instrumentation import _provider, _settings
from traced_scene import Scene

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


@pytest.fixture(name="scene", scope="session")
def _scene() -> Iterator[Scene]:
    """Give a scene for whoever needs no server of its own: to start one takes 8 s of a core.

    Processes are known by their names, also in what arrives: no two modules share one. Whoever
    starts what does not end by itself stops it.
    """
    with logged_scene.scene() as scene:
        yield scene
