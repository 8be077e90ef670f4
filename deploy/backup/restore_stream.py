"""Lets psql run one transaction that is told to it bit by bit, and feeds a dump into it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

from backup.errors import BackupError, NoSpace, ProgramFailed, SourceUnavailable, Unverified
from backup.programs import Child, Command, scrub, started
from backup.restic_errors import explain
from backup.restore_sql import DEPENDED_ON, FILLED, UNVERIFIED

_CHUNK_BYTES = 1 << 18
# As psql writes it with VERBOSITY=verbose, in whatever language the server speaks.
_SAID = re.compile(r"^\S+:\s+([0-9A-Z]{5}): (.*)$")
_MENDS = {
    DEPENDED_ON: "drop those first",
    FILLED: "stop what makes them, and try again",
    "55P03": "stop what uses them, and try again",
}
_REMARKS = ("00", "01", "02")


class Session:
    """A psql that does what it is told, one thing after the other."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def send(self, text: bytes) -> None:
        """Give psql *text*, once it has room for it.

        Raises:
            BackupError: A statement failed, or psql ended.
        """
        stdin = _pipe(self._child.process.stdin)
        try:
            stdin.write(text)
            stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def run(self, statements: str) -> None:
        """Return once *statements* have been carried out.

        Raises:
            BackupError: One failed, or psql ended.
        """
        self.send(f"{statements}\n\\echo done\n".encode())
        if not self._child.output.readline():
            raise self._failure()

    def _failure(self) -> BackupError:
        try:
            self._child.finish()
        except BackupError as error:
            return self._explained(error)
        return SourceUnavailable("psql ended before it was told to")

    def _explained(self, error: BackupError) -> BackupError:
        found = [match for line in self._child.complaints if (match := _SAID.match(line))]
        state, said = next((each.groups() for each in found if not _harmless(each[1])), ("", ""))
        match state:
            case "":
                return error
            case "53100":
                return NoSpace("psql", said, self._child.process.returncode)
            case _ if state == UNVERIFIED:
                return Unverified(f"what was restored is not what was backed up: {said}")
            case _ if state in _MENDS:
                return SourceUnavailable(f"{said}: {_MENDS[state]}")
            case _:
                return self._child.failed(said, self._child.process.returncode)


@contextmanager
def session(program: Command, *, timeout: float) -> Iterator[Session]:
    """Start psql; leaving the block ends it, and so rolls back what is not committed.

    Args:
        program: psql itself, with the environment by which it finds the database.
        timeout: Seconds after which it is killed.
    """
    # What a dump says is no order for psql: pg_restore sees to that by \restrict.
    flags = ["--no-psqlrc", "--no-password", "--quiet", "--output=/dev/null"]
    variables = ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]
    command = Command(argv=[*program.argv, *flags, *variables], env=program.env)
    with started(command, stdin=subprocess.PIPE) as child, child.limited(timeout):
        yield Session(child)


def output_of(programs: Sequence[Command]) -> Generator[bytes]:
    """Yield what a pipe of *programs* writes, and make sure at its end that none of them failed.

    Raises:
        ProgramFailed: Of the first that did.
    """
    with _pipeline(programs) as children:
        while chunk := children[-1].output.read(_CHUNK_BYTES):
            yield chunk
        _finish(children)


def first_lines(programs: Sequence[Command], number: int) -> list[str]:
    """Return what a pipe of *programs* writes first; they do not go on after that.

    Raises:
        ProgramFailed: One of them failed, and so nothing was written.
    """
    with _pipeline(programs) as children:
        lines = [line for line, _ in zip(children[-1].output, range(number), strict=False)]
        if not lines:
            _finish(children)
    return [line.decode(errors="replace") for line in lines]


@contextmanager
def _pipeline(programs: Sequence[Command]) -> Iterator[list[Child]]:
    children: list[Child] = []
    with ExitStack() as stack:
        for command in programs:
            source = children[-1].output if children else subprocess.DEVNULL
            children.append(stack.enter_context(started(command, stdin=source)))
            if len(children) > 1:
                # Else the one before would not learn that its reader is gone.
                children[-2].output.close()
        yield children


def _finish(children: Sequence[Child]) -> None:
    for child in children:
        child.process.wait()
    # One that merely lost its reader says less than that reader.
    for child in sorted(children, key=Child.lost_reader):
        try:
            child.finish()
        except ProgramFailed as failed:
            if failed.program != "restic":
                raise
            said = [scrub(line, child.command.env) for line in child.complaints]
            raise explain(failed, said) from None


def _harmless(state: str) -> bool:
    return state.startswith(_REMARKS)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise TypeError("a pipe was asked for")
    return stream
