"""Functions whose every call runs within a context manager, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from prefect_instrumentation._driven import adriven, driven

_F = TypeVar("_F", bound=Callable[..., Any])
MakeScope: TypeAlias = Callable[[], AbstractContextManager[object]]


def scoped(function: _F, make_scope: MakeScope, name: str) -> _F:
    """Return a function of the same kind that runs within a scope.

    Args:
        function: plain, asynchronous, a generator function or an asynchronous one.
        make_scope: makes what each call runs in; a generator enters its own for each step.
        name: of the decorator, for the error.

    Raises:
        TypeError: `function` is none, such as a flow or a task.
    """
    # A flow or task has `__get__`, so that `isroutine` takes it for one.
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise TypeError(
            f"{name}() decorates functions, not {type(function).__name__}: put it below @flow or"
            f" @task, or write `with {name}(...):` around the call"
        )
    if inspect.isasyncgenfunction(function):
        return cast("_F", adriven(function, _steps(make_scope)))
    if inspect.isgeneratorfunction(function):
        return cast("_F", driven(function, _steps(make_scope)))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            with make_scope():
                return await function(*args, **kwargs)

        return cast("_F", call_async)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        with make_scope():
            return function(*args, **kwargs)

    return cast("_F", call)


class _Steps:
    """The scope of one generator, entered for each step."""

    def __init__(self, scope: AbstractContextManager[object]) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scope.__exit__(kind, error, traceback)

    def close(self) -> None:
        """Do nothing: no step is open."""


def _steps(
    make_scope: MakeScope,
) -> Callable[[Callable[..., object], tuple[object, ...], Mapping[str, object]], _Steps]:
    def begin(*_: object) -> _Steps:
        return _Steps(make_scope())

    return begin
