"""Our own settings, read from the environment; all the others are OpenTelemetry's `OTEL_*`."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from prefect_instrumentation._guard import logger

ENVIRONMENT = "PREFECT_INSTRUMENTATION_ENVIRONMENT"
LINK_AFTER = "PREFECT_INSTRUMENTATION_LINK_AFTER"
EXIT_TIMEOUT = "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT"

# As many digits as no clock and no lock of Python's finds too many.
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s|m|h|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}

_LONGEST_VALUE = 60

_Default = TypeVar("_Default", bound=float | None)


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen.

    Args:
        service_name: `service.name` where no `OTEL_*` variable says it.
        environment: `deployment.environment.name`, likewise; "" for none.
        link_after: seconds that a deployment's run may have waited before it starts a trace of
            its own, with a link to its creator; None for ever.
        exit_timeout: seconds by which the end of a process may be delayed in all.
    """

    service_name: str = "prefect"
    environment: str = ""
    link_after: float | None = None
    exit_timeout: float = 1.0


@functools.cache
def current() -> Settings:
    """Return the settings of this process, which are read once."""
    return read(os.environ)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings that the variables give; a bad one is told of and left at its default."""
    defaults = Settings()
    return Settings(
        environment=environ.get(ENVIRONMENT, "").strip(),
        link_after=_duration(environ, LINK_AFTER, defaults.link_after),
        exit_timeout=_duration(environ, EXIT_TIMEOUT, defaults.exit_timeout),
    )


def warn(name: str, value: str, wanted: str, used: str) -> None:
    """Tell of a variable whose value is of no use, and of what is used in its place."""
    logger.warning("%s=%r is not %s; using %s", name, value[:_LONGEST_VALUE], wanted, used)


def _duration(environ: Mapping[str, str], name: str, default: _Default) -> float | _Default:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if match := _DURATION.fullmatch(text.lower()):
        return float(match[1]) * _SECONDS[match[2]]
    used = "none" if default is None else f"{default:g}s"
    warn(name, text, "a duration such as 0.5, 30s, 10m or 2h", used)
    return default
