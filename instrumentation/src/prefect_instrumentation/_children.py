"""What child processes inherit, so that they are instrumented as their parent is."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib.metadata import version

from prefect_instrumentation._log_settings import FORMAT
from prefect_instrumentation._settings import ENVIRONMENT

PLUGIN = "prefect_instrumentation"
"""The plugin's name among the entry points of `prefect.plugins`."""

DEPLOYMENT = "PREFECT__DEPLOYMENT_NAME"
"""What workers call the deployment to the process that they start."""

DEPLOYMENT_KEPT = "PREFECT__INSTRUMENTATION_DEPLOYMENT_NAME"
"""The same, from a process to its children."""


def inherit(  # noqa: PLR0913 - each stands for an argument of `setup`
    environ: MutableMapping[str, str],
    *,
    service_name: str | None = None,
    environment: str | None = None,
    logs: bool = False,
    meters: bool = False,
    prefect_version: str | None = None,
) -> None:
    """Have processes that inherit the variables load the plugin, and no other plugin.

    A task runner's process, or one that `serve()` starts, need not run the code that called
    `setup()`: Ray's does not. Where the user has said anything of plugins himself, that stays.
    """
    if service_name:
        environ.setdefault("OTEL_SERVICE_NAME", service_name)
    if environment:
        environ.setdefault(ENVIRONMENT, environment)
    if logs:
        environ.setdefault(FORMAT, "json")
    if meters:
        environ.setdefault("OTEL_METRICS_EXPORTER", "otlp")
    prefix = _prefix(prefect_version or version("prefect"))
    if not any(name.startswith(prefix) for name in environ):
        environ[f"{prefix}ENABLED"] = "1"
        environ[f"{prefix}ALLOW"] = PLUGIN
        # By itself the plugin would write them.
        environ.setdefault(FORMAT, "none")


def keep_deployment(environ: MutableMapping[str, str]) -> None:
    """Let children know the deployment where Prefect does not tell them.

    A container runs `prefect flow-run execute`, which has the name from its worker; Prefect 3.8
    takes it away from the process in which the flow then runs.
    """
    if name := environ.get(DEPLOYMENT):
        environ[DEPLOYMENT_KEPT] = name


def _prefix(prefect_version: str) -> str:
    """Return what plugins' settings begin with; they left the experiments with 3.7."""
    major, minor = (int(part) for part in prefect_version.split(".")[:2])
    return "PREFECT_PLUGINS_" if (major, minor) >= (3, 7) else "PREFECT_EXPERIMENTS_PLUGINS_"
