"""The three signals and where the user wants them, told without importing the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prefect_instrumentation._guard import logger
from prefect_instrumentation._settings import Settings
from prefect_instrumentation._variables import warn

_EXPORTERS = frozenset({"otlp", "console"})
_KNOWN = _EXPORTERS | {"none"}

_OLDEST_SDK = (1, 45)
"""Of metrics and log records; spans go with older ones too."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of telemetry.

    Args:
        name: in a sentence.
        counted: what is counted of it on its way out.
        exporter: the variable that names its exporters.
        protocol: the variable that says how OTLP carries it.
    """

    name: str
    counted: str
    exporter: str
    protocol: str


SPANS = Signal("spans", "spans", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
METRICS = Signal(
    "metrics",
    "exports of metrics",
    "OTEL_METRICS_EXPORTER",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
)
PUSHES = Signal("metrics", "pushes of metrics", "PREFECT_INSTRUMENTATION_PUSHGATEWAY", "")
LOGS = Signal(
    "log records", "log records", "OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"
)

SIGNALS = (SPANS, LOGS, METRICS, PUSHES)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether the user wants no telemetry at all."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def wants_metrics(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Return whether metrics are to be sent anywhere."""
    asked = _asked(environ, METRICS)
    by_setting = bool(settings.pushgateway) or (settings.metrics and not asked)
    return not is_disabled(environ) and (by_setting or bool(asked - {"none"}))


def wants_logs(environ: Mapping[str, str]) -> bool:
    """Return whether log records are to be sent by OpenTelemetry."""
    return not is_disabled(environ) and bool(_asked(environ, LOGS) - {"none"})


def exporters(environ: Mapping[str, str], signal: Signal, default: str = "none") -> frozenset[str]:
    """Return which of `otlp` and `console` the user asks for; an unknown one is told of.

    Args:
        environ: the variables.
        signal: whose exporters.
        default: the exporter where the user names none, and in the place of an unknown one.
    """
    asked = _asked(environ, signal)
    unknown = asked - _KNOWN
    chosen = (asked if asked and not unknown else asked | {default}) & _EXPORTERS
    if unknown:
        used = ", ".join(sorted(chosen)) or "none"
        warn(signal.exporter, min(unknown), "one of otlp, console, none", used)
    return chosen


def _asked(environ: Mapping[str, str], signal: Signal) -> frozenset[str]:
    names = environ.get(signal.exporter, "").split(",")
    return frozenset(name.strip().lower() for name in names) - {""}


def is_new_enough(signal: Signal) -> bool:
    """Return whether the SDK has what a signal beside spans needs; tell of it if not."""
    found = version("opentelemetry-sdk")
    if tuple(int(part) for part in found.split(".")[:2]) >= _OLDEST_SDK:
        return True
    oldest = ".".join(map(str, _OLDEST_SDK))
    logger.warning(
        "No %s are sent: that needs opentelemetry-sdk %s or newer, and this is %s",
        signal.name,
        oldest,
        found,
    )
    return False
