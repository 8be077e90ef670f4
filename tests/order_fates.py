"""Workers that die at any step that leaves something behind: as by SIGKILL, nothing is cleared up.

What they do to files and ask of Redis is counted at the seams, which are Python's `os` and
redis-py; at the chosen step, and at each one after it, they raise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

_FILE_STEPS = ("fsync", "link", "rename", "unlink", "rmdir", "mkdir")


class Killed(BaseException):
    """The end of a worker; no `except Exception` of its own sees it."""


class Fate:
    """How many steps a worker has left; None for as many as it wants."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        """Count a step, and die where it is one too many."""
        if self.left is None:
            return
        if self.left <= 0:
            raise Killed
        self.left -= 1

    @contextmanager
    def sealed(self, steps: int | None) -> Iterator[None]:
        """Let what is done within die after so many steps on files, and of `MortalRedis`."""
        self.left = steps
        with pytest.MonkeyPatch.context() as patch:
            for name in _FILE_STEPS:
                patch.setattr(os, name, self._counted(getattr(os, name)))
            try:
                yield
            finally:
                self.left = None

    def _counted(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: object, **more: object) -> object:
            self.step()
            return do(*args, **more)

        return counted


class MortalRedis(Redis):
    """A client whose every command is a step of its worker."""

    fate = Fate()

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as redis-py has it
        """Count it, then send it."""
        self.fate.step()
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
