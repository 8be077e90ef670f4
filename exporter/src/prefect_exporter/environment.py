"""The settings as the process environment has them, with one plain line for each that is wrong."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from prefect_exporter.durations import format_duration
from prefect_exporter.errors import ExporterError
from prefect_exporter.settings import PREFIX, Settings

MASK = "********"
MAX_SECRET_BYTES = 65_536

_MAX_SHOWN = 80
# Kubernetes describes every service of the namespace in variables, so one called
# prefect-exporter brings names with our prefix: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_\w+=|PORT=\w+://)"
)


class BadSettings(ExporterError):
    """The settings cannot be used.

    Args:
        problems: One line each, which names the variable and the mend, and holds no secret.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    A secret may stand in a file that ``<NAME>_FILE`` names; an empty variable counts as not given.

    Raises:
        BadSettings: With every problem there is, not only the first.
    """
    problems = list(_unknown(os.environ))
    secrets: dict[str, str] = {}
    for name in filter(is_secret, _FIELDS):
        try:
            secrets |= _from_file(name)
        except ValueError as error:
            problems.append(str(error))
    try:
        settings = Settings.model_validate(secrets)
    except ValidationError as error:
        problems += [line for detail in error.errors() for line in _lines(detail)]
    if problems:
        raise BadSettings(tuple(problems))
    return settings


def is_secret(name: str) -> bool:
    """Return whether the value of variable *name* is never shown."""
    return SecretStr.__name__ in repr(_FIELDS[name].annotation)


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (variable, origin, value as people write it) of each setting, secrets masked."""
    for attribute, field in Settings.model_fields.items():
        name = str(field.validation_alias)
        value = MASK if is_secret(name) else _written(getattr(settings, attribute))
        yield name, _origin(name), "-" if getattr(settings, attribute) is None else value


def _origin(name: str) -> str:
    if os.environ.get(name):
        return "environment"
    return "file" if is_secret(name) and os.environ.get(f"{name}_FILE") else "default"


def _written(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return format_duration(value)
        case tuple():
            return ",".join(map(_written, value))
        case Mapping():
            return ",".join(f"{name}={_written(each)}" for name, each in value.items())
        case None:
            return "off"
    return str(value)


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = {*_FIELDS, *(f"{name}_FILE" for name in filter(is_secret, _FIELDS))}
    for name, value in sorted(environ.items()):
        if name in known or not name.startswith(PREFIX) or _KUBERNETES.match(f"{name}={value}"):
            continue
        own = [each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX)]
        near = difflib.get_close_matches(name.removeprefix(PREFIX), own, n=1)
        mend = f"did you mean {PREFIX}{near[0]}?" if near else "docs/configuration.md has them all"
        yield f"{name} is not a setting; {mend}"


def _from_file(name: str) -> dict[str, str]:
    file_name = f"{name}_FILE"
    path = os.environ.get(file_name)
    if not path:
        return {}
    if os.environ.get(name):
        raise ValueError(f"{name} and {file_name} are both set; give one of them")
    try:
        return {name: read_secret(path)}
    except ValueError as error:
        raise ValueError(f"{file_name}={path!r} {error}") from None


def read_secret(path: str) -> str:
    """Return the secret that a file holds, without the white space around it.

    Raises:
        ValueError: In words that follow the file's name.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        mend = "name a file that this user can read"
        raise ValueError(f"cannot be read ({error.strerror}); {mend}") from None
    except UnicodeDecodeError:
        raise ValueError("is not text; name a file in UTF-8") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError("is too large for a secret; name another file")
    if not text:
        raise ValueError("is empty; write the secret into it")
    return text


def _lines(detail: ErrorDetails) -> list[str]:
    name, problem = told(detail)
    return [f"{name}{problem}"] if name else problem.splitlines()


def told(detail: ErrorDetails) -> tuple[str, str]:
    """Return the variable that an error is about, "" where it is several, and what follows it."""
    problem = str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
    if not detail["loc"]:
        return "", problem
    name = str(detail["loc"][0])
    return name, f"{_shown(name, str(detail['input']))} {problem}"


def _shown(name: str, text: str) -> str:
    # An address with a user or a query may hold a credential that was meant for another variable.
    if is_secret(name) or "@" in text or "?" in text:
        return ""
    return f"={text[:_MAX_SHOWN]!r}" + ("…" if len(text) > _MAX_SHOWN else "")


def _by_variable() -> dict[str, FieldInfo]:
    return {str(field.validation_alias): field for field in Settings.model_fields.values()}


_FIELDS = _by_variable()
