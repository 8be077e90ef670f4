"""Variables of environments: those that are set in a page are read by something."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from opentelemetry import environment_variables as api_variables
from opentelemetry.sdk import environment_variables as sdk_variables
from prefect.settings.legacy import _get_settings_fields
from prefect.settings.models.root import Settings as PrefectSettings

from backup.settings import Settings as BackupSettings
from docs.blocks import ROOT, Block
from etl.settings import Settings as EtlSettings
from prefect_exporter.settings import Settings as ExporterSettings
from prefect_instrumentation import _log_settings, _secrets, _settings
from trigger.settings import Settings as TriggerSettings

_PREFIXES = re.compile(r"(?:PREFECT|OTEL|ETL|TRIGGER|COMPOSE|DEMO)_")
# Of no settings class of Prefect's: its engines and the Kubernetes worker read it themselves.
_READ_BY_PREFECT = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"}
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\b(?:SOURCE|REVISION|CREATED)\b")


def problems(word: str) -> Iterator[str]:
    """Say of a name, or of ``NAME=value``, that nobody reads it; names of users' own are free."""
    name = word.partition("=")[0]
    if _PREFIXES.match(name) and not _is_known(name):
        yield f"nobody reads the variable {name}"


def dotenv(block: Block) -> Iterator[str]:
    """Say which lines are no ``NAME=value``, and which variables the stack does not read."""
    for line in block.text.splitlines():
        name, equals, _ = line.partition("=")
        if line and not line.startswith("#"):
            if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                yield f"is no line of a .env: {line}"
            elif not _is_known(name):
                yield f"nobody reads the variable {name}"


def _is_known(name: str) -> bool:
    levels = name.startswith(f"{_log_settings.LEVEL}_")
    return levels or name in _known() or name.removesuffix("_FILE") in _known()


@functools.cache
def _known() -> frozenset[str]:
    ours = {
        str(field.validation_alias)
        for settings in (ExporterSettings, BackupSettings, EtlSettings)
        for field in settings.model_fields.values()
    }
    ours |= {f"TRIGGER_{name.upper()}" for name in TriggerSettings.model_fields}
    modules = (_settings, _log_settings, _secrets, api_variables, sdk_variables)
    texts = {value for each in modules for value in vars(each).values() if isinstance(value, str)}
    return frozenset(
        ours
        | texts
        | _READ_BY_PREFECT
        | set(_get_settings_fields(PrefectSettings))
        | _read_by_files()
    )


def _read_by_files() -> set[str]:
    """Return what Compose, the collector's files, scripts and the examples take."""
    files = [
        *ROOT.glob("docker-compose*.yml"),
        ROOT / ".env.example",
        ROOT / "Makefile",
        *(path for path in ROOT.glob("scripts/*") if path.is_file()),
        *ROOT.glob("deploy/otel-collector/*.yaml"),
        *ROOT.glob("examples/**/*.py"),
        *ROOT.glob("tests/stack/*.py"),
        ROOT / "tests" / "kubernetes" / "conftest.py",
    ]
    return {name for file in files for name in _NAME.findall(Path(file).read_text())}
