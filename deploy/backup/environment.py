"""The settings as the process environment has them, with one plain line for each that is wrong."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backup.durations import format_duration
from backup.errors import BackupError
from backup.settings import PREFIX, Settings

_MAX_SHOWN = 80
# Kubernetes describes every service of the namespace in variables:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_\w+=|PORT=\w+://)"
)


class BadSettings(BackupError):
    """The settings cannot be used.

    Args:
        problems: One line each, which names the variable and the mend, and holds no secret.
    """

    reason = "setting"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings() -> Settings:
    """Return the settings that the environment gives; an empty variable counts as not given.

    Raises:
        BadSettings: With every problem there is, not only the first.
    """
    problems = list(_unknown(os.environ))
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [line for detail in error.errors() for line in _lines(detail)]
    if problems:
        raise BadSettings(tuple(problems))
    return settings


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (variable, origin, value as people write it) of each setting."""
    for attribute, field in Settings.model_fields.items():
        name, value = str(field.validation_alias), getattr(settings, attribute)
        yield name, "environment" if os.environ.get(name) else "default", _written(value)


def _written(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return format_duration(value)
    return str(value)


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    own = [name.removeprefix(PREFIX) for name in known]
    for name, value in sorted(environ.items()):
        if name in known or not name.startswith(PREFIX) or _KUBERNETES.match(f"{name}={value}"):
            continue
        near = difflib.get_close_matches(name.removeprefix(PREFIX), own, n=1)
        mend = f"did you mean {PREFIX}{near[0]}?" if near else "`prefect-backup settings` has them"
        yield f"{name} is not a setting; {mend}"


def _lines(detail: ErrorDetails) -> list[str]:
    problem = str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
    if not detail["loc"]:
        return problem.splitlines()
    return [f"{detail['loc'][0]}{_shown(str(detail['input']))} {problem}"]


def _shown(text: str) -> str:
    # An address may hold a credential.
    if "@" in text or "?" in text:
        return ""
    return f"={text[:_MAX_SHOWN]!r}" + ("..." if len(text) > _MAX_SHOWN else "")
