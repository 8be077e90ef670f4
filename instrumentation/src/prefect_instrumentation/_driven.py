"""Generators whose bodies run in a scope that their consumers do not see."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import closing
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Y = TypeVar("Y")


class Scope(Protocol):
    """Where one generator's body runs: entered for each step, closed after the last."""

    def __enter__(self) -> object:
        """Begin a step: at the start, and after each yield."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """End a step: at each yield, and where the body returns or raises."""

    def close(self) -> None:
        """Nothing more comes."""


Begin = Callable[[Callable[..., object], tuple[object, ...], Mapping[str, object]], Scope]
"""Makes a scope when a generator starts, of the driven function and what it was called with."""


def driven(function: Callable[P, Generator[Y, S, R]], begin: Begin) -> Callable[P, object]:
    """Return a generator function that behaves as `function` does, with its body in a scope."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Generator[Y, S, R]:
        with closing(begin(run, args, kwargs)) as scope:
            with scope:
                inner = function(*args, **kwargs)
            step: Callable[[], Y] = functools.partial(next, inner)
            while True:
                try:
                    with scope:
                        item = step()
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]  # what `inner` returns
                finally:
                    del step  # it may hold an error, and the error's traceback this frame
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - the body's to handle
                    step = functools.partial(inner.throw, error)
                else:
                    step = functools.partial(inner.send, sent)
                finally:
                    del item  # it may be large, and the next is about to be made

    return run


def adriven(function: Callable[P, AsyncGenerator[Y, S]], begin: Begin) -> Callable[P, object]:
    """Return the same of an asynchronous generator function."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Y, S]:
        with closing(begin(run, args, kwargs)) as scope:
            with scope:
                inner = function(*args, **kwargs)
            step = _first_step(inner)
            while True:
                try:
                    with scope:
                        item = await step
                except StopAsyncIteration:
                    return
                finally:
                    del step  # as above
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - as above
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
                finally:
                    del item  # as above

    return run


def _first_step(inner: AsyncGenerator[Y, S]) -> Awaitable[Y]:
    """Begin a generator that the event loop does not see.

    A loop that ends closes all that it sees at once, and of two closers of one generator the
    second fails. It sees the driven one, which closes this.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return anext(inner)
    finally:
        sys.set_asyncgen_hooks(*hooks)
