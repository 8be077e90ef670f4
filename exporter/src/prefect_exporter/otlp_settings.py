"""How spans are sent, as far as it is known without OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

PROTOCOLS = ("http/protobuf", "grpc")

# As in the specification: the one for traces wins.
# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = ("opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter.otlp.proto.grpc")


def otlp_protocol(environ: Mapping[str, str]) -> str:
    """Return one of ``PROTOCOLS``.

    Raises:
        ValueError: The environment names another one.
    """
    for name in _VARIABLES:
        if text := environ.get(name, "").strip():
            if text not in PROTOCOLS:
                known = " or ".join(PROTOCOLS)
                raise ValueError(f"{name}={text[:40]!r} is not known; give {known}")
            return text
    return PROTOCOLS[0]


def otlp_problem(environ: Mapping[str, str], wanted_by: str) -> str | None:
    """Return why the setting *wanted_by* cannot be had, in one line; None where it can."""
    if not all(map(_is_installed, _EXPORTERS)):
        return (
            f"{wanted_by} needs OpenTelemetry, which is not installed; "
            "install prefect-exporter[traces], or leave it out"
        )
    try:
        otlp_protocol(environ)
    except ValueError as error:
        return str(error)
    return None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
