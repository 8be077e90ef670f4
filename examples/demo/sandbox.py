"""One temporary folder and everything that runs below it, gone together at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from demo import keeper
from demo.processes import Process, Program

# What a program may inherit; above all no PREFECT_* of the person who starts us.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")


class Sandbox:
    """A place for programs: a folder, an environment, and their common end.

    Use it as a context manager. On leaving, the programs are stopped, the last one first; then
    whatever they left behind is killed and the folder removed, even where the owner itself is
    killed: `demo.keeper` sees to that.
    """

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="prefect-demo-"))
        # The account that PostgreSQL runs under may pass, but not look around.
        self.folder.chmod(0o711)
        self._keeper = keeper.hire(self.mark, self.folder)
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        """Return the sandbox itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything and remove the folder."""
        self.close()

    def close(self) -> None:
        """Stop everything and remove the folder; harmless when done twice."""
        try:
            while self._processes:
                self._processes.pop().stop()
        finally:
            self._keeper.communicate()

    def environment(self, **more: str) -> dict[str, str]:
        """Return a clean environment with the sandbox's own home, and *more* on top."""
        home = self.subfolder("home")
        inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        # Programs of this virtual environment are found although nobody has activated it.
        path = os.pathsep.join(
            [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
        )
        own = {"PATH": path, "HOME": str(home), "TMPDIR": str(home), keeper.MARK: self.mark}
        return inherited | own | more

    def prefect_environment(self, name: str, **more: str) -> dict[str, str]:
        """Return `environment` with a Prefect home of its own, so that no profile is touched."""
        home = self.subfolder(name)
        return self.environment(
            PREFECT_HOME=str(home),
            PREFECT_PROFILES_PATH=str(home / "profiles.toml"),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            **more,
        )

    def subfolder(self, name: str) -> Path:
        """Return the folder of that name, which only its owner can read; make it if needed."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def start(self, program: Program) -> Process:
        """Start *program* and return once it answers.

        Raises:
            NotReadyError: It ended or did not answer in time; the message has the log's tail.
        """
        log = self.subfolder("logs") / f"{program.name}.log"
        process = Process(program, log=log, cwd=self.folder)
        self._processes.append(process)
        process.start()
        process.wait_ready()
        return process

    def check(self) -> None:
        """Raise `NotReadyError`, with the log's tail, where a program has ended by itself."""
        for process in self._processes:
            process.check()


def find_program(*names: str) -> str | None:
    """Return the path of the first of *names* that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)
