"""How much memory and CPU a deployment's jobs ask for, by its pool's template and its variables.

The paths are those of the base job templates that Prefect 3.8 ships for each pool type; a template
of the user's own is read at the same places, whatever its variables are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prefect_exporter.report.resources import quantities
from prefect_exporter.report.wire import ToldDeployment, ToldWorkPool

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]{1,128})\s*\}\}")
_MOST_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Setting:
    """One amount and where it is set.

    Args:
        amount: Bytes or cores.
        text: As it is written.
        variable: The job variable that sets it; "" where the template has it fixed.
    """

    amount: float
    text: str
    variable: str


@dataclass(frozen=True, slots=True)
class Requests:
    """What a job asks for; None where it is not said.

    Args:
        memory: Bytes that are set aside for it, and paid.
        memory_limit: Bytes at which it is killed.
        cpu: Cores that are set aside for it.
    """

    memory: Setting | None = None
    memory_limit: Setting | None = None
    cpu: Setting | None = None


class _Place(NamedTuple):
    path: tuple[str | int, ...]
    amount: Callable[[object], float | None]


@dataclass(frozen=True, slots=True)
class _Platform:
    """Where a template has what; of several places the first that says something counts."""

    memory: tuple[_Place, ...] = ()
    memory_limit: tuple[_Place, ...] = ()
    cpu: tuple[_Place, ...] = ()


def _resources(*container: str | int, kinds: tuple[str, ...], what: str) -> tuple[_Place, ...]:
    return tuple(
        _Place((*container, "resources", kind, what), quantities.kubernetes) for kind in kinds
    )


_POD = ("job_manifest", "spec", "template", "spec", "containers", 0)
_CLOUD_RUN = ("job_body", "spec", "template", "spec", "template", "spec", "containers", 0)
_CLOUD_RUN_V2 = ("job_body", "template", "template", "containers", 0)
_ECS_MEMORY = (_Place(("task_definition", "memory"), quantities.ecs_memory),)
_ACI_MEMORY = (_Place(("memory",), quantities.gigabytes),)

_PLATFORMS: Mapping[str, _Platform] = {
    # Kubernetes sets aside the limit where there is no request.
    "kubernetes": _Platform(
        _resources(*_POD, kinds=("requests", "limits"), what="memory"),
        _resources(*_POD, kinds=("limits",), what="memory"),
        _resources(*_POD, kinds=("requests", "limits"), what="cpu"),
    ),
    "cloud-run": _Platform(
        _resources(*_CLOUD_RUN, kinds=("limits",), what="memory"),
        _resources(*_CLOUD_RUN, kinds=("limits",), what="memory"),
        _resources(*_CLOUD_RUN, kinds=("limits",), what="cpu"),
    ),
    "cloud-run-v2": _Platform(
        _resources(*_CLOUD_RUN_V2, kinds=("limits",), what="memory"),
        _resources(*_CLOUD_RUN_V2, kinds=("limits",), what="memory"),
        _resources(*_CLOUD_RUN_V2, kinds=("limits",), what="cpu"),
    ),
    "ecs": _Platform(
        _ECS_MEMORY, _ECS_MEMORY, (_Place(("task_definition", "cpu"), quantities.ecs_cpu),)
    ),
    "azure-container-instance": _Platform(
        _ACI_MEMORY, _ACI_MEMORY, (_Place(("cpu",), quantities.cores),)
    ),
    # Docker sets nothing aside.
    "docker": _Platform(memory_limit=(_Place(("mem_limit",), quantities.docker_memory),)),
}


def requests(pool: ToldWorkPool, deployment: ToldDeployment) -> Requests:
    """Return what a deployment's jobs ask for in its pool; nothing for a type that is not known."""
    # Push pools have the templates of the types that they push to.
    platform = _PLATFORMS.get(pool.type.removesuffix(":push"))
    if platform is None:
        return Requests()
    template = _Template(pool.base_job_template, deployment.job_variables)
    return Requests(
        template.first(platform.memory),
        template.first(platform.memory_limit),
        template.first(platform.cpu),
    )


class _Template:
    """A base job template with a deployment's variables."""

    def __init__(self, template: Mapping[str, object], variables: Mapping[str, object]) -> None:
        self.configuration = template.get("job_configuration")
        self.properties = _at(template, ("variables", "properties"))
        self.variables = variables

    def first(self, places: tuple[_Place, ...]) -> Setting | None:
        """Return what the first place says that says anything."""
        return next(filter(None, map(self.setting, places)), None)

    def setting(self, place: _Place) -> Setting | None:
        """Return the amount at one place; None without one."""
        value = _at(self.configuration, place.path)
        variable = ""
        if isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
            if whole := _PLACEHOLDER.fullmatch(value):
                variable = whole[1]
                value = self.variable(variable)
            else:
                value = _PLACEHOLDER.sub(lambda each: str(self.variable(each[1])), value)
        amount = place.amount(value)
        return None if amount is None else Setting(amount, str(value), variable)

    def variable(self, name: str) -> object:
        """Return a job variable's value: the deployment's, else the template's default."""
        value = self.variables.get(name)
        return _at(self.properties, (name, "default")) if value is None else value


def _at(value: object, path: tuple[str | int, ...]) -> object:
    """Return what is at a path in JSON of any shape; None where there is nothing."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value
