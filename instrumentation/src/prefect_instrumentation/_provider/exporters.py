"""From what the user asks for to exporters; each reads its endpoint and headers itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_PROTOCOL

from prefect_instrumentation._provider.signals import Signal, exporters
from prefect_instrumentation._variables import warn

E = TypeVar("E")
Factory: TypeAlias = Callable[[], E]


@dataclass(frozen=True, slots=True)
class Makers(Generic[E]):
    """What makes a signal's exporters, each by a means of its own, imported when it is used."""

    signal: Signal
    console: Factory[E]
    http: Factory[E]
    grpc: Factory[E]


def factories(
    makers: Makers[E], environ: Mapping[str, str], default: str = "none"
) -> list[Factory[E]]:
    """Return what makes each exporter that the variables ask for.

    One that may block comes after one that does not, since they are shut down in this order.

    Args:
        makers: of the signal.
        environ: the variables.
        default: the exporter where they name none.
    """
    chosen = exporters(environ, makers.signal, default)
    console = [makers.console] if "console" in chosen else []
    return [*console, _otlp(makers, environ)] if "otlp" in chosen else console


def _otlp(makers: Makers[E], environ: Mapping[str, str]) -> Factory[E]:
    for name in (makers.signal.protocol, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = environ.get(name, "").strip().lower()
        if protocol == "grpc":
            # Else gRPC writes a line to standard error, past all logging, for each fork amid an
            # export.
            os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
            return makers.grpc
        if protocol not in {"", "http/protobuf"}:
            warn(name, protocol, "one of http/protobuf, grpc", "http/protobuf")
        if protocol:
            break
    return makers.http
