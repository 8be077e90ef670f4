"""Python programs of a sandbox that run to their end and print one JSON value."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from demo.processes import NotReadyError
from demo.sandbox import Sandbox

_WITHIN_SECONDS = 600


def answer(sandbox: Sandbox, *arguments: str, **env: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """Run Python with these arguments, and return what it printed.

    Args:
        sandbox: Whose home it has; the Prefect home is one for all programs.
        arguments: Of the interpreter.
        env: On top of the sandbox's clean environment.

    Raises:
        NotReadyError: It failed; the message has the end of what it said.
    """
    ended = subprocess.run(
        [sys.executable, *arguments],
        env=sandbox.prefect_environment("programs", **env),
        check=False,
        capture_output=True,
        text=True,
        timeout=_WITHIN_SECONDS,
    )
    if ended.returncode:
        tail = "\n".join(ended.stderr.splitlines()[-20:])
        raise NotReadyError(f"{arguments[:3]} ended with code {ended.returncode}:\n{tail}")
    return msgspec.json.decode(ended.stdout)
