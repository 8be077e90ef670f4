"""What `@traced` says of a function, and how values of the user's become attributes."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import attributes as names
from prefect_instrumentation._secrets import redactor, shown
from prefect_instrumentation._secrets.secret_text import HIDDEN
from prefect_instrumentation._text import MAX_NAME, text

MAX_PARAMETER = 256
"""Most characters of a recorded parameter."""

MAX_ITEMS = 128
"""Most items of a list."""

MAX_INTEGER = 2**63 - 1
"""What OTLP holds: an exporter drops a larger number and prints a traceback."""

ATTRIBUTE = "__prefect_instrumentation__"
"""A function carries its spec in this: `functools.wraps`, `with_options` and pickling keep it."""


@dataclass(frozen=True)
class Spec:
    """What the span of a function's calls, or of its runs, has beside what is measured.

    Args:
        name: of the span; None for the usual one.
        attributes: as OpenTelemetry takes them, bounded.
        source: where the function reads from.
        destination: where it writes to.
        record: parameters whose values the user wants to see.
    """

    name: str | None
    attributes: Mapping[str, AttributeValue]
    source: str | None
    destination: str | None
    record: tuple[str, ...]


def spec_of(function: object) -> Spec | None:
    """Return what `@traced` has said of a function, if it has."""
    spec = getattr(function, ATTRIBUTE, None)
    return spec if isinstance(spec, Spec) else None


def function_name(function: object) -> str:
    """Return a function's full name, such as `shop.flows.load`.

    Prefect calls the module of a file that it loads `__prefect_loader_<digest of its path>__`,
    which no two clones of a repository have in common: there it is the file's name.
    """
    module = text(getattr(function, "__module__", None) or "", MAX_NAME)
    if module.startswith("__prefect_loader_"):
        file = getattr(sys.modules.get(module), "__file__", None) or module
        module = text(PurePath(file).stem, MAX_NAME)
    return f"{module}.{qualified_name(function)}".lstrip(".")


def qualified_name(function: object) -> str:
    """Return a function's name within its module, such as `Shop.load`."""
    return text(getattr(function, "__qualname__", type(function).__qualname__), MAX_NAME)


def attributes_of(spec: Spec, parameters: Mapping[str, object]) -> dict[str, AttributeValue]:
    """Return what a span gets from a spec, the recorded parameters among it."""
    places = {names.SOURCE: spec.source, names.DESTINATION: spec.destination}
    return {
        **safe_attributes(spec.attributes),
        **{name: shown(place) for name, place in places.items() if place},
        **bind_recorded(spec, parameters),
    }


def bind_recorded(spec: Spec, parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of those parameters alone that the spec names, each bounded."""
    hides = redactor().hides
    return {
        names.PARAMETER_VALUE + name: HIDDEN
        if hides(name, parameters[name])
        else shown(parameters[name], MAX_PARAMETER)
        for name in spec.record
        if name in parameters
    }


def safe_attributes(attributes: Mapping[str, object]) -> dict[str, AttributeValue]:
    """Return attributes without secrets, with values that every exporter takes."""
    hides = redactor().hides
    return {
        name: HIDDEN if hides(name, value) else attribute_value(value, shown)
        for name, value in attributes.items()
    }


def attribute_value(value: object, as_text: Callable[[object], str] = text) -> AttributeValue:
    """Return a value that every exporter takes: a scalar, or a list of scalars of one type."""
    if not isinstance(value, list | tuple):
        return _scalar(value, as_text)
    items = [_scalar(item, as_text) for item in value[:MAX_ITEMS]]
    if len({type(item) for item in items}) > 1:
        return [as_text(item) for item in items]
    return items


def _scalar(value: object, as_text: Callable[[object], str]) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return as_text(value)
    try:
        if isinstance(value, float):
            return float(value)
        # What counts is often NumPy's integer, which is no `int`.
        number = operator.index(value)  # type: ignore[arg-type]  # it raises if it is none
    except Exception:  # noqa: BLE001 - as above
        return as_text(value)
    return number if abs(number) <= MAX_INTEGER else as_text(value)
