"""Amounts of memory and CPU as job templates write them, each platform in its own way. Pure.

All return None for what is no amount: a template may hold anything.
"""

from __future__ import annotations

import math
import re

GIB = 2**30

_MOST_CHARACTERS = 32
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?([A-Za-z]{0,4})")
_KUBERNETES = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_DOCKER = {"": 1.0, "b": 1.0, "k": 2.0**10, "m": 2.0**20, "g": 2.0**30, "t": 2.0**40}
# ECS takes plain MiB and CPU units, or words: "2 GB", ".5 vCPU".
_ECS_MEMORY = {"": 2.0**20, "gb": 2.0**30, "mb": 2.0**20}
_ECS_CPU = {"": 1 / 1024, "vcpu": 1.0}
_GIGABYTES = {"": 1e9}
_CORES = {"": 1.0}


def kubernetes(value: object) -> float | None:
    """Return bytes or cores of a Kubernetes quantity: ``512Mi``, ``1G``, ``250m``, ``0.5``."""
    return _amount(value, _KUBERNETES)


def docker_memory(value: object) -> float | None:
    """Return bytes of Docker's ``512m`` or ``4g``, whose units are powers of 1,024."""
    return _amount(_lower(value), _DOCKER)


def ecs_memory(value: object) -> float | None:
    """Return bytes of ECS' MiB."""
    return _amount(_lower(value), _ECS_MEMORY)


def ecs_cpu(value: object) -> float | None:
    """Return cores of ECS' CPU units, of which 1,024 are one."""
    return _amount(_lower(value), _ECS_CPU)


def gigabytes(value: object) -> float | None:
    """Return bytes of a plain number of GB."""
    return _amount(value, _GIGABYTES)


def cores(value: object) -> float | None:
    """Return cores of a plain number of them."""
    return _amount(value, _CORES)


def _lower(value: object) -> object:
    return value.lower().replace(" ", "") if isinstance(value, str) else value


def _amount(value: object, units: dict[str, float]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    match = _QUANTITY.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    if match is None or match[3] not in units:
        return None
    amount = float(match[1] + (match[2] or "")) * units[match[3]]
    return amount if 0 < amount < math.inf else None
