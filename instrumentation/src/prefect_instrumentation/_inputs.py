"""What a run was called with, as the log line of its failure may tell it."""

from __future__ import annotations

from datetime import date, timedelta
from enum import Enum
from itertools import islice
from pathlib import PurePath
from uuid import UUID

from prefect_instrumentation import _spec
from prefect_instrumentation._log_settings import Input
from prefect_instrumentation._runs import Run
from prefect_instrumentation._secrets import shown
from prefect_instrumentation._spec import MAX_INTEGER
from prefect_instrumentation._text import MAX_NAME, text, type_name

MAX_INPUTS = 32
"""Most parameters that are told."""

MAX_VALUE = 128
"""Most characters of a value."""

_SCALARS = (str, int, float, type(None), date, timedelta, Enum, PurePath, UUID)


def describe_inputs(run: Run, how: Input) -> dict[str, object]:
    """Return the run's parameters by name, each bounded, without what its text gives away.

    What a name gives away, such as `password`, whoever writes the line hides.

    Args:
        run: that failed.
        how: `values` for those of scalars, with the type and size of all else; `types` for types
            and sizes alone, but for what `@traced(record=...)` names; `none` for nothing.
    """
    if how == "none":
        return {}
    spec = _spec.spec_of(run.function)
    named = frozenset(spec.record) if spec else frozenset()
    return {
        text(name, MAX_NAME): _value(value)
        if name in named or (how == "values" and isinstance(value, _SCALARS))
        else _kind(value)
        for name, value in islice(run.parameters.items(), MAX_INPUTS)
    }


def _value(value: object) -> object:
    if value is None or type(value) in (bool, float) or _is_small(value):
        return value
    return shown(value, MAX_VALUE)  # redacted before it is cut, else half of a secret could stay


def _is_small(value: object) -> bool:
    return type(value) is int and abs(value) <= MAX_INTEGER


def _kind(value: object) -> str:
    """Return a value's type, with its size where it has one, such as `list of 3`."""
    name = type_name(type(value))
    if isinstance(value, _SCALARS):
        return name
    try:
        return f"{name} of {len(value)}"  # type: ignore[arg-type]  # it raises if it has none
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return name
