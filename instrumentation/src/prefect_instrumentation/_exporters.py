"""From `OTEL_TRACES_EXPORTER` and the protocol's variables to the exporters they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.environment_variables import OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
)
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from prefect_instrumentation._variables import warn

Factory: TypeAlias = Callable[[], SpanExporter]


def factories(environ: Mapping[str, str]) -> list[Factory]:
    """Return what makes each exporter that the variables ask for, `none` making none.

    Exporters read their endpoint, headers and certificates themselves. One that may block comes
    after one that does not, since they are shut down in this order.
    """
    asked = {name.strip().lower() for name in environ.get(OTEL_TRACES_EXPORTER, "").split(",")}
    asked -= {""}
    unknown = asked - {"console", "otlp", "none"}
    if unknown:
        name = min(unknown)
        warn(OTEL_TRACES_EXPORTER, name, "one of otlp, console, none", "otlp")
    makers: list[Factory] = [ConsoleSpanExporter] if "console" in asked else []
    return [*makers, _otlp(environ)] if not asked or unknown or "otlp" in asked else makers


def _otlp(environ: Mapping[str, str]) -> Factory:
    for name in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = environ.get(name, "").strip().lower()
        if protocol == "grpc":
            return _grpc
        if protocol not in {"", "http/protobuf"}:
            warn(name, protocol, "one of http/protobuf, grpc", "http/protobuf")
        if protocol:
            break
    return _http


def _http() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - dear
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


def _grpc() -> SpanExporter:
    # Else gRPC writes a line to standard error, past all logging, for each fork amid an export.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - dear
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()
