"""A terminal that is typed into, as a reader of docs/tutorial.md does it."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.processes import descendants, end, free_port

# A command that waits for something may have to on a busy machine.
_WITHIN_SECONDS = 300.0
_POLL_SECONDS = 0.05
# Nobody else on this machine: other tests take theirs below, clients above.
_PORTS = range(30_000, 32_000)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, its exit code (None: it did not end), and how long it took."""

    printed: str
    code: int | None
    seconds: float


class Terminal:
    """A bash of its own, with what it prints in files of *folder*; a context manager."""

    def __init__(self, folder: Path, cwd: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._typed = 0
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env=dict(env),
            text=True,
            start_new_session=True,
        )
        # Job control, as at a terminal: without, what is in the background is deaf to SIGINT.
        self._write("set -m\n")

    def __enter__(self) -> Self:
        """Return the terminal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End bash, and what it has started and not ended."""
        family = descendants(self._bash.pid)
        self._bash.kill()
        self._bash.communicate()
        end(family)

    @property
    def pid(self) -> int:
        """The process id of bash."""
        return self._bash.pid

    def type(self, command: str) -> Answer:
        """Type a command, and return once it has ended or has taken five minutes."""
        self._typed += 1
        printed, code = (self._folder / f"{self._typed}.{name}" for name in ("out", "code"))
        began = time.monotonic()
        # In a group, so that what it exports and starts is the shell's; the code's file is whole.
        self._write(f"{{ {command}\n}} > {printed} 2>&1 < /dev/null\n")
        self._write(f"echo $? > {code}.new; mv {code}.new {code}\n")
        while not code.exists() and time.monotonic() < began + _WITHIN_SECONDS:
            time.sleep(_POLL_SECONDS)
        ended = int(code.read_text()) if code.exists() else None
        text = printed.read_text(errors="replace") if printed.exists() else ""
        return Answer(text, ended, time.monotonic() - began)

    def _write(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(text)
        self._bash.stdin.flush()


class Ports:
    """Ports that are free here in place of the usual ones of the page, each from its first use on.

    Args:
        usual: the ports that the page names.
    """

    def __init__(self, *usual: int) -> None:
        self._usual = re.compile(rf"\b({'|'.join(map(str, usual))})\b")
        self._chosen: dict[str, str] = {}

    def put(self, text: str) -> str:
        """Put the chosen ports in place of the usual ones."""
        return self._usual.sub(lambda found: self._choose(found[0]), text)

    def back(self, text: str) -> str:
        """Put the usual ports in place of the chosen ones."""
        for usual, chosen in self._chosen.items():
            text = re.sub(rf"\b{chosen}\b", usual, text)
        return text

    def _choose(self, usual: str) -> str:
        if usual not in self._chosen:
            # Those that were chosen may still be free: nobody has begun to listen there.
            left = [port for port in _PORTS if str(port) not in self._chosen.values()]
            self._chosen[usual] = str(free_port(random.choice(left)))
        return self._chosen[usual]
