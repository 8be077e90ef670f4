"""What is expected of deployments, as ``objectives.yml`` says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from prefect_exporter.labels import clip
from prefect_exporter.tags import OBJECTIVE_PREFIX, objectives
from sources import Entry, bad, read

FILE = Path(__file__).parent / "objectives.yml"

NAMES = ("success", "fresh", "duration", "delay")


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds for all deployments with a tag ``tier:<name>``.

    Args:
        name: The value of the tag.
        page: Whether a fast burn, or data that is not fresh, shall wake somebody.
        objectives: By name: seconds, or of ``success`` a ratio; those not given do not hold.
    """

    name: str
    page: bool
    objectives: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What holds for one deployment, whatever its tier says.

    Args:
        target: The Prefect server or workspace; None for the deployments so named of all.
    """

    target: str | None
    flow: str
    deployment: str
    objectives: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Objectives:
    """The whole file.

    Args:
        default: The tier of deployments without one, or with one that the file does not know.
    """

    default: Tier
    tiers: tuple[Tier, ...]
    deployments: tuple[Deployment, ...]


def load(path: Path = FILE) -> Objectives:
    """Return the objectives of a file.

    Raises:
        BadSource: The file cannot be used; the text has a line for each problem.
    """
    file = read(path, _File)
    tiers = {name: Tier(name, each.page, each.objectives()) for name, each in file.tiers.items()}
    if file.default not in tiers:
        known = ", ".join(tiers) or "none"
        raise bad(path, [f"default: {file.default!r} is no tier: take one of {known}"])
    deployments = tuple(each.deployment_objectives() for each in file.deployments)
    for index, each in enumerate(deployments):
        if any(_identity(each) == _identity(other) for other in deployments[:index]):
            raise bad(path, [f"deployments[{index}]: stands there twice: keep one"])
    return Objectives(tiers[file.default], tuple(tiers.values()), deployments)


def _identity(each: Deployment) -> tuple[str | None, str, str]:
    return each.target, each.flow, each.deployment


def _name(value: object) -> str:
    """Return a name as the exporter has it in labels; YAML reads 1 and 2024 as numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
        raise ValueError(f"{value!r} is no name: put it in quotes")
    return str(value)


def _label(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!a} is no text in UTF-8: write it anew") from None
    return clip(text)


_Name = Annotated[str, BeforeValidator(_name), AfterValidator(_label)]


def _objective(name: str, form: str) -> BeforeValidator:
    """Return a reader of one objective: a tag is read so too, so both allow the same."""

    def reading(value: object) -> float:
        found, _ = objectives((f"{OBJECTIVE_PREFIX}{name}={value}",))
        if name not in found:
            raise ValueError(f"{value!r} is no objective: write it as {form}")
        return found[name]

    return BeforeValidator(reading)


_Success = Annotated[float, _objective("success", "99.5% or 0.995, below 100%")]
_Seconds = {name: _objective(name, "30s, 15m, 1h30m or 7d") for name in NAMES[1:]}


class _Objectives(Entry):
    success: _Success | None = None
    fresh: Annotated[float, _Seconds["fresh"]] | None = None
    duration: Annotated[float, _Seconds["duration"]] | None = None
    delay: Annotated[float, _Seconds["delay"]] | None = None

    def objectives(self) -> dict[str, float]:
        given = self.model_dump(include=set(NAMES))
        return {name: given[name] for name in NAMES if given[name] is not None}


class _Tier(_Objectives):
    page: bool = False


class _Deployment(_Objectives):
    target: _Name | None = None
    flow: _Name
    deployment: _Name

    def deployment_objectives(self) -> Deployment:
        return Deployment(self.target, self.flow, self.deployment, self.objectives())


class _File(Entry):
    default: _Name
    tiers: Annotated[dict[_Name, _Tier], Field(min_length=1)]
    deployments: tuple[_Deployment, ...] = ()
