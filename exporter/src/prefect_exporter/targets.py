"""The Prefect servers and workspaces that are read: one from variables, or several from a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import PydanticBaseSettingsSource, SettingsConfigDict

from prefect_exporter.environment import BadSettings, load_settings, told
from prefect_exporter.settings import PREFIX, Settings
from prefect_exporter.targets_file import Entry, Problem, read_targets

FILE = f"{PREFIX}TARGETS_FILE"

# They say where one server is and who we are there: beside a file they would be read by nobody.
_OF_ONE = (
    "PREFECT_API_URL",
    "PREFECT_UI_URL",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    f"{PREFIX}TARGET",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One Prefect server or workspace.

    Args:
        settings: All settings as they hold for it; ``settings.target`` is its name.
        budget: The name of the budget of requests that it shares with others; None for its own.
    """

    settings: Settings
    budget: str | None = None

    @property
    def name(self) -> str:
        """The value of the ``target`` label."""
        return self.settings.target


@dataclass(frozen=True, slots=True)
class Targets:
    """Every target of this process; *budgets* are requests per minute by name."""

    targets: tuple[Target, ...]
    budgets: Mapping[str, int] = field(default_factory=dict)


class _FromFile(Settings):
    """Settings that are given whole: what the environment says of one server is not for others."""

    model_config = SettingsConfigDict(**Settings.model_config)

    @classmethod
    def settings_customise_sources(
        cls,
        *_class: Any,  # noqa: ANN401 - the parent's arguments, of which one is used
        **sources: Any,  # noqa: ANN401 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what was passed, and nothing else."""
        return (sources["init_settings"],)


def load_targets(settings: Settings) -> Targets:
    """Return the targets that the settings name.

    Raises:
        BadSettings: With every problem of the file there is, each with its line.
    """
    if settings.targets_file is None:
        return Targets((Target(settings),))
    path, content = settings.targets_file, read_targets(settings.targets_file)
    targets, problems = [], list(content.problems)
    for entry in content.entries:
        try:
            targets.append(Target(_settings(entry), entry.budget))
        except ValidationError as error:
            problems += _wrong(entry, error)
    lines = [f"{path}: {problem}" for problem in sorted(problems, key=lambda each: each.line)]
    if lines := [*_beside(path), *lines]:
        raise BadSettings(tuple(lines))
    return Targets(tuple(targets), content.budgets)


def reload_targets() -> Targets:
    """Read everything anew: the file, and the files that hold secrets.

    Raises:
        BadSettings: As at the start.
    """
    return load_targets(load_settings())


def _settings(entry: Entry) -> Settings:
    own = {name: text for name, text in os.environ.items() if text and name not in _OF_ONE}
    return _FromFile.model_validate({**own, **entry.variables})


def _beside(path: Path) -> Iterator[str]:
    for name in _OF_ONE:
        given = next((each for each in (name, f"{name}_FILE") if os.environ.get(each)), None)
        if given:
            yield f"{given} and {FILE}={str(path)!r} are both set; leave one of them out"


def _wrong(entry: Entry, error: ValidationError) -> Iterator[Problem]:
    """Yield what is wrong with a target's values."""
    for detail in error.errors():
        name, problem = told(detail)
        if not name:
            yield from (Problem(entry.place, f" {line}") for line in problem.splitlines())
        elif name in entry.places:
            yield Problem(entry.places[name], problem)
        else:
            # A file that the environment names was there a moment ago, and is not any more.
            yield Problem(entry.place, f" {name}{problem}")
