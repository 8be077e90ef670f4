"""Spans of the user's own functions, and what his code adds to the span that is current."""

from __future__ import annotations

import functools
import inspect
import operator
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from opentelemetry import trace
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import _settings
from prefect_instrumentation import attributes as names
from prefect_instrumentation._calls import wrap
from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._secrets import shown
from prefect_instrumentation._spec import (
    ATTRIBUTE,
    MAX_INTEGER,
    Spec,
    attribute_value,
    qualified_name,
    safe_attributes,
)
from prefect_instrumentation._text import text

T = TypeVar(
    "T", bound="Callable[..., object] | classmethod[Any, Any, Any] | staticmethod[Any, Any]"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the code that asks is in a trace.

    Args:
        trace_id: 32 hex digits.
        span_id: of the current span, 16 hex digits.
        sampled: the trace is being recorded.
    """

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        """As the header of that name has it: https://www.w3.org/TR/trace-context/."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


@overload
def traced(target: T, /) -> T: ...


@overload
def traced(
    *,
    name: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    source: str | None = None,
    destination: str | None = None,
    record: tuple[str, ...] | list[str] = (),
) -> Callable[[T], T]: ...


def traced(  # noqa: PLR0913 - the decorated one stands beside five options
    target: Any = None,
    /,
    *,
    name: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    source: str | None = None,
    destination: str | None = None,
    record: tuple[str, ...] | list[str] = (),
) -> Any:
    """Give each call of a function a span, or the span of a flow's or task's runs more to say.

    Stands above or below `@flow` and `@task`; there the run's span is the function's, and no
    other is made. Flows or tasks of the same function share what is said here. Prefect is
    instrumented, as by its plugin, where it has not been.

    Args:
        target: a function, method, flow or task of any kind.
        name: of the span; by default the function's, or `flow <flow>` or `task <task>`.
        attributes: that each span gets.
        source: what is read, such as `s3://raw/orders`.
        destination: what is written.
        record: parameters whose values become attributes, as text of at most 256 characters.
            No other value is ever recorded.

    Raises:
        TypeError: `target` is nothing that can be called, or a class.
        ValueError: `record` names what is no parameter.
    """
    make_spec = functools.partial(
        Spec,
        name and text(name),
        {str(key): attribute_value(value) for key, value in (attributes or {}).items()},
        source and text(source),
        destination and text(destination),
        tuple(record),
    )
    _instrument()
    decorate = functools.partial(_decorate, make_spec)
    return decorate if target is None else decorate(target)


@guarded
def record_io(
    *,
    records: int | None = None,
    bytes: int | None = None,  # noqa: A002 - the word that a reader expects
    source: str | None = None,
    destination: str | None = None,
) -> None:
    """Say on the current span what was read or written, and count it.

    Args:
        records: added to what this span has counted so far.
        bytes: likewise.
        source: what was read; the last one stays. A meter takes that of `@traced` without it.
        destination: what was written; likewise.
    """
    from prefect_instrumentation._meters import io  # noqa: PLC0415 - nobody pays who moves nothing

    io.count(records, bytes, source, destination)
    span = trace.get_current_span()
    if not span.is_recording():
        return
    _add(span, names.RECORDS, records)
    _add(span, names.BYTES, bytes)
    for key, place in ((names.SOURCE, source), (names.DESTINATION, destination)):
        if place is not None:
            span.set_attribute(key, shown(place))


@guarded
def annotate(**attributes: object) -> None:
    """Set attributes of the current span; what OpenTelemetry does not take becomes text."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(safe_attributes(attributes))


def current_trace() -> Trace | None:
    """Return where this code is in a trace, or None if it is in none."""
    here = trace.get_current_span().get_span_context()
    if not here.is_valid:
        return None
    return Trace(f"{here.trace_id:032x}", f"{here.span_id:016x}", here.trace_flags.sampled)


@guarded
def _instrument() -> None:
    from prefect_instrumentation._setup import observe  # noqa: PLC0415 - Prefect's seams

    observe(_settings.current())


def _decorate(make_spec: Callable[[], Spec], target: object) -> object:
    if isinstance(target, classmethod | staticmethod):
        return type(target)(_decorate_callable(make_spec, target.__func__))
    if not callable(target) or isinstance(target, type):
        raise TypeError(f"traced() takes a function, flow or task, not {type(target).__name__}")
    return _decorate_callable(make_spec, target)


def _decorate_callable(
    make_spec: Callable[[], Spec], target: Callable[..., object]
) -> Callable[..., object]:
    function = getattr(target, "fn", None)
    if callable(function) and not inspect.isfunction(target):  # a flow or task
        _attach(make_spec(), function)
        return target
    wrapper = wrap(target)
    _attach(make_spec(), wrapper)
    return wrapper


def _attach(spec: Spec, function: Callable[..., object]) -> None:
    _check(spec, function)
    setattr(getattr(function, "__func__", function), ATTRIBUTE, spec)


def _check(spec: Spec, function: Callable[..., object]) -> None:
    if not spec.record:
        return
    parameters = inspect.signature(function).parameters
    for name in spec.record:
        if name not in parameters:
            raise ValueError(
                f"traced(record=...) names {name!r}, which is no parameter of"
                f" {qualified_name(function)}({', '.join(parameters)})"
            )


_adding = threading.Lock()


def _add(span: Span, key: str, amount: int | None) -> None:
    if amount is None:
        return
    try:
        more = operator.index(amount)
    except TypeError:
        more = -1
    if more < 0:
        once("record_io", "record_io() takes whole numbers from 0 up; ignored one for %s.", key)
        return
    with _adding:
        so_far = getattr(span, "attributes", {}).get(key, 0)
        span.set_attribute(key, min(so_far + more, MAX_INTEGER))
