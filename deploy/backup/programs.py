"""Child processes: bounded in time and memory, and ended with all that they started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, ClassVar

from backup.errors import NoSpace, ProgramFailed

MAX_OUTPUT = 64 * 1024 * 1024

_MAX_LINE = 16 * 1024
_LAST_LINES = 40
_MAX_SAID = 500
_GRACE_SECONDS = 5.0
_SHARED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
_SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|SAS", re.ASCII)
_CREDENTIALS = re.compile(r"://[^\s/@]*@")
_TELLING = re.compile(
    r"error|fatal|fail|denied|refused|no space|unable|cannot|invalid", re.IGNORECASE
)
_PATHS = re.compile(r"(_FILE|_COMMAND)$", re.ASCII)


class Terminated(BaseException):
    """The process was told to end; no ``except Exception`` keeps it from that.

    Args:
        by: The signal's name.
    """

    reason: ClassVar[str] = "terminated"

    def __init__(self, by: str) -> None:
        super().__init__(f"ended by {by}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run.

    Args:
        argv: Its name and arguments, which every user of the machine can read: never a secret.
        env: What it finds in its environment beside the few variables that every program needs.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


def run(  # noqa: PLR0913 - all but the first by name
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    timeout: float,
    on_line: Callable[[str], None] | None = None,
    on_complaint: Callable[[str], None] | None = None,
) -> str:
    """Run a program to its end and return what it wrote to standard output.

    Args:
        argv: As in `Command`.
        env: As in `Command`.
        stdin: What it reads; nothing where it is None.
        timeout: Seconds after which it is ended.
        on_line: Gets every line of standard output as it comes; nothing is returned then.
        on_complaint: Gets every line of standard error.

    Raises:
        ProgramFailed: It could not be started, ended with an error, or took too long.
    """
    command = Command(argv=argv, env=env)
    source = subprocess.PIPE if stdin else subprocess.DEVNULL
    with started(command, stdin=source, on_complaint=on_complaint) as child:
        writer = _in_background(_feed, child.process, stdin) if stdin else None
        with child.limited(timeout):
            output = _take(child.output, on_line)
            child.finish()
        if writer is not None:
            writer.join()
    return output


def pipe(
    first: Command,
    second: Command,
    *,
    timeout: float,
    on_complaint: Callable[[str], None] | None = None,
) -> None:
    """Run *first* into *second*; *on_complaint* gets each line of standard error of *first*.

    Raises:
        ProgramFailed: Either failed; where both did, it tells of the first, unless that merely
            lost its reader.
    """
    with (
        started(first, on_complaint=on_complaint) as source,
        started(second, stdin=source.process.stdout) as sink,
    ):
        source.output.close()
        with source.limited(timeout), sink.limited(timeout):
            _take(sink.output, lambda _line: None)
            source.process.wait()
            sink.process.wait()
        for child in (sink, source) if source.lost_reader() else (source, sink):
            child.finish()


@dataclass(slots=True)
class Child:
    """A program at work.

    Args:
        command: What was started.
        process: Its process; standard output is a pipe.
        on_complaint: Gets every line of standard error.
        complaints: The last of these lines.
    """

    command: Command
    process: subprocess.Popen[bytes]
    on_complaint: Callable[[str], None] | None
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    listener: threading.Thread | None = None
    too_slow: float | None = None

    @property
    def output(self) -> IO[bytes]:
        """Its standard output."""
        assert self.process.stdout is not None  # noqa: S101 - it was asked for as a pipe
        return self.process.stdout

    def listen(self) -> None:
        """Take what it complains of, until it ends."""
        assert self.process.stderr is not None  # noqa: S101 - as above
        with self.process.stderr as stream:
            for line in _lines(stream):
                self.complaints.append(line)
                if self.on_complaint is not None:
                    self.on_complaint(line)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """End it where it works longer than the block may take."""

        def expire() -> None:
            self.too_slow = seconds
            self.end()

        timer = threading.Timer(seconds, expire)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            ProgramFailed: It ended with an error, or took too long.
        """
        code = self.process.wait()
        if self.listener is not None:
            self.listener.join(_GRACE_SECONDS)
        if self.too_slow is not None:
            raise self.failed(f"it took longer than {self.too_slow:g} s", code)
        if code != 0:
            raise self.failed(most_telling(self.complaints), code)

    def lost_reader(self) -> bool:
        """Return whether it ended because nothing took what it wrote."""
        pipe_broke = any("broken pipe" in line.lower() for line in self.complaints)
        return pipe_broke or self.process.returncode == -signal.SIGPIPE

    def failed(self, said: str, code: int) -> ProgramFailed:
        """Return the error that says so; no space has one of its own."""
        program = os.path.basename(self.command.argv[0])  # noqa: PTH119 - of a name, not of a file
        full = "no space left on device" in "\n".join(self.complaints).lower()
        return (NoSpace if full else ProgramFailed)(program, scrub(said, self.command.env), code)

    def end(self) -> None:
        """End it with everything that it started; kindly first, so that it can let go of locks."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_SECONDS)
                if number is signal.SIGTERM:
                    continue
                return


@contextmanager
def started(
    command: Command,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    on_complaint: Callable[[str], None] | None = None,
) -> Iterator[Child]:
    """Start a program, and end it with all that it started where it outlives the block.

    Args:
        command: What to start.
        stdin: As ``subprocess.Popen`` has it.
        on_complaint: Gets every line of standard error.

    Raises:
        ProgramFailed: It cannot be started.
    """
    # So that it does not outlive this process, whatever ends that.
    argv = ["setpriv", "--pdeathsig", "KILL", "--", *command.argv]
    try:
        process = subprocess.Popen(
            argv,
            env=_environment(command.env),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramFailed(argv[0], f"cannot be started: {error.strerror}", 127) from None
    child = Child(command, process, on_complaint)
    child.listener = _in_background(child.listen)
    try:
        yield child
    finally:
        if process.poll() is None:
            child.end()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        child.listener.join(_GRACE_SECONDS)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    shared = {name: os.environ[name] for name in _SHARED if name in os.environ}
    return shared | dict(extra)


def _in_background(act: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=act, args=args, daemon=True)
    thread.start()
    return thread


def _feed(process: subprocess.Popen[bytes], content: bytes) -> None:
    # A program may end without reading all; its exit code tells whether that was right.
    with suppress(OSError):
        assert process.stdin is not None  # noqa: S101 - it was asked for as a pipe
        with process.stdin:
            process.stdin.write(content)


def _take(stream: IO[bytes], on_line: Callable[[str], None] | None) -> str:
    if on_line is None:
        content = stream.read(MAX_OUTPUT + 1)
        if len(content) > MAX_OUTPUT:
            raise ProgramFailed("", f"wrote more than {MAX_OUTPUT} bytes", 0)
        return content.decode(errors="replace")
    for line in _lines(stream):
        on_line(line)
    return ""


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while line := stream.readline(_MAX_LINE):
        yield line.decode(errors="replace").rstrip("\n")


def most_telling(lines: Sequence[str] | deque[str]) -> str:
    """Return the line that says most of why a program failed; restic's JSON is read."""
    said = [text for line in lines if (text := _plain(line))]
    telling = [text for text in said if _TELLING.search(text)]
    return (telling or said or [""])[-1][:_MAX_SAID]


def _plain(line: str) -> str:
    try:
        parsed = json.loads(line)
        text = parsed["error"]["message"] if "error" in parsed else parsed["message"]
    except (ValueError, TypeError, KeyError):
        text = line
    return " ".join(str(text).split())


def scrub(text: str, env: Mapping[str, str]) -> str:
    """Return *text* without the secrets of *env*, and without credentials in addresses."""
    for name, value in env.items():
        if value and _SECRET.search(name) and not _PATHS.search(name):
            text = text.replace(value, "********")
    return _CREDENTIALS.sub("://********@", text)
