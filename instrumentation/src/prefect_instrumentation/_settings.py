"""Our own settings, read from the environment; all the others are OpenTelemetry's `OTEL_*`."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from prefect_instrumentation import _log_settings
from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._variables import duration

ENVIRONMENT = "PREFECT_INSTRUMENTATION_ENVIRONMENT"
LINK_AFTER = "PREFECT_INSTRUMENTATION_LINK_AFTER"
EXIT_TIMEOUT = "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT"
PUSHGATEWAY = "PREFECT_INSTRUMENTATION_PUSHGATEWAY"


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen.

    Args:
        service_name: `service.name` where no `OTEL_*` variable says it.
        environment: `deployment.environment.name`, likewise; "" for none.
        link_after: seconds that a deployment's run may have waited before it starts a trace of
            its own, with a link to its creator; None for ever.
        exit_timeout: seconds by which the end of a process may be delayed in all.
        pushgateway: address of a Prometheus Pushgateway that metrics go to; "" for none.
        logs: of log lines.
        metrics: are sent though no `OTEL_*` variable names an exporter of them.
    """

    service_name: str = "prefect"
    environment: str = ""
    link_after: float | None = None
    exit_timeout: float = 1.0
    pushgateway: str = ""
    logs: LogSettings = field(default_factory=LogSettings)
    metrics: bool = False


@functools.cache
def current() -> Settings:
    """Return the settings of this process, which are read once."""
    return read(os.environ)


def of_environment(environment: str | None) -> Settings:
    """Return the settings of this process, in an environment where it is not the variable's."""
    return read(os.environ, environment) if environment else current()


def read(environ: Mapping[str, str], environment: str | None = None) -> Settings:
    """Return the settings that the variables give; a bad one is told of and left at its default.

    Args:
        environ: the variables.
        environment: such as `production`, in place of the variable's.
    """
    defaults = Settings()
    environment = environment or environ.get(ENVIRONMENT, "").strip()
    return Settings(
        environment=environment,
        link_after=duration(environ, LINK_AFTER, defaults.link_after),
        exit_timeout=duration(environ, EXIT_TIMEOUT, defaults.exit_timeout),
        pushgateway=environ.get(PUSHGATEWAY, "").strip(),
        logs=_log_settings.read(environ, environment),
    )
