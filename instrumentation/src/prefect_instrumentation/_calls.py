"""The span of one call of a traced function, of whatever kind the function is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from contextvars import ContextVar, Token
from types import CodeType, FunctionType, TracebackType
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from prefect_instrumentation import _correlation, _errors, _provider
from prefect_instrumentation import attributes as names
from prefect_instrumentation._driven import Begin, adriven, driven
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._span_attributes import exception
from prefect_instrumentation._spec import (
    Spec,
    attributes_of,
    function_name,
    qualified_name,
    spec_of,
)

P = ParamSpec("P")
R = TypeVar("R")

Running: TypeAlias = Callable[..., object] | None

running: ContextVar[Running] = ContextVar("running", default=None)
"""The function of the run whose own code is current: the run's span is that of its call."""

NO_ERRORS = (StopIteration, StopAsyncIteration, GeneratorExit)
"""How code ends that has not failed."""

_SPEC = otel_context.create_key("prefect_instrumentation-spec")


def wrap(function: Callable[..., Any], begin: Begin | None = None) -> Callable[..., Any]:
    """Return a function that gives each call a span, of the same kind: Prefect looks at the kind.

    The wrappers use functions and classes of this module but no other variable: where a task is
    pickled for another process they are pickled by value, and so is what they use.

    Args:
        function: of any kind.
        begin: gives each call a scope other than a span; it is pickled too.
    """
    wrapper = _wrapper_of(function, begin or _Call)
    wrapper.__qualname__ = qualified_name(function)
    if isinstance(code := getattr(function, "__code__", None), CodeType):
        wrapper.__code__ = _in_place_of(code, wrapper.__code__)
    return wrapper


def _wrapper_of(function: Callable[..., Any], begin: Begin) -> FunctionType:
    wrapper: Any
    if inspect.iscoroutinefunction(function):
        wrapper = _wrap_async(function, begin)
    elif inspect.isasyncgenfunction(function):
        wrapper = adriven(function, begin)
    elif inspect.isgeneratorfunction(function):
        wrapper = driven(function, begin)
    else:
        wrapper = _wrap_sync(function, begin)
    return cast("FunctionType", wrapper)


def _in_place_of(code: CodeType, wrapper: CodeType) -> CodeType:
    """Return a wrapper's code that says where the wrapped one is, and holds it.

    Prefect tells tasks of one name apart, and knows a cached result of older code, by a digest of
    their code; of a flow it asks which file it is in. All of the code is on the first line of the
    wrapped one, its decorator, as a table of entries for up to 8 instructions each says:
    https://github.com/python/cpython/blob/3.11/Objects/locations.md
    """
    left = range(len(wrapper.co_code) // 2, 0, -8)
    return wrapper.replace(
        co_consts=(*wrapper.co_consts, code),
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_linetable=b"".join(bytes((0xE8 | min(units, 8) - 1, 0)) for units in left),
        co_name=code.co_name,
        co_qualname=code.co_qualname,
    )


def _wrap_sync(function: Callable[P, R], begin: Begin) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with closing(begin(call, args, kwargs)) as scope, scope:
            return function(*args, **kwargs)

    return call


def _wrap_async(function: Callable[P, Coroutine[Any, Any, R]], begin: Begin) -> Callable[P, Any]:
    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with closing(begin(call, args, kwargs)) as scope, scope:
            return await function(*args, **kwargs)

    return call


def spec_here() -> Spec | None:
    """Return what `@traced` says of the innermost function that this code is in, if it does."""
    run = running.get()
    found = otel_context.get_value(_SPEC)
    # A run within a traced function has that in its context too, and is the nearer one.
    if isinstance(found, tuple) and found[0] is run:
        return cast("Spec", found[1])
    return spec_of(run)


class _Call:
    """The span of one call: current in `with`, any number of times, and ended by `close()`.

    Does nothing where an engine calls its run's function, since the run has a span.
    """

    __slots__ = ("_context", "_span", "_token")

    def __init__(
        self,
        wrapper: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> None:
        self._span = _start(wrapper)
        self._context: Context | None = None
        self._token: Token[Context] | None = None
        if self._span is not None:
            self._context = otel_context.set_value(
                _SPEC, (running.get(), spec_of(wrapper)), trace.set_span_in_context(self._span)
            )
            _describe(self._span, wrapper, args, kwargs)

    def __enter__(self) -> None:
        if self._context is not None:
            self._token = otel_context.attach(self._context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is None or self._span is None:
            return
        # A generator goes on with what its body has made current, such as a span of its own.
        self._context = otel_context.get_current()
        otel_context.detach(token)
        if error is not None and not isinstance(error, NO_ERRORS):
            _fail(self._span, error)

    def close(self) -> None:
        if self._span is not None:
            _end(self._span)


@guarded
def _start(wrapper: Callable[..., object]) -> Span | None:
    spec = spec_of(wrapper)
    # Specs are compared, not functions: another decorator may stand between engine and wrapper.
    if spec is None or spec is spec_of(running.get()):
        return None
    return _provider.tracer().start_span(spec.name or qualified_name(wrapper))


@guarded
def _describe(
    span: Span,
    wrapper: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> None:
    spec = spec_of(wrapper)
    if spec is None or not span.is_recording():
        return
    parameters = _bind(wrapper, args, kwargs) if spec.record else {}
    span.set_attribute(names.CODE_FUNCTION_NAME, function_name(wrapper))
    if correlation_id := _correlation.current():
        span.set_attribute(names.CORRELATION_ID, correlation_id)
    span.set_attributes(attributes_of(spec, parameters))


def _bind(
    wrapper: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Mapping[str, object]:
    try:
        bound = inspect.signature(wrapper).bind(*args, **kwargs)
    except TypeError:  # as the call itself is about to say
        return {}
    bound.apply_defaults()
    return bound.arguments


@guarded
def _fail(span: Span, error: BaseException) -> None:
    if not span.is_recording():
        return
    event = exception(error)
    span.set_attributes(_errors.describe(error))
    span.set_status(Status(StatusCode.ERROR, str(event[names.EXCEPTION_MESSAGE])))
    span.add_event("exception", event)


@guarded
def _end(span: Span) -> None:
    span.end()
