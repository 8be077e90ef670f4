"""The text of a traceback as facts: docs/errors.md, "Facts from text". Pure, linear in the text.

Whoever fails writes this text, messages above all. So it is read line by line, by what may stand
where: below an error's own line all is its message, whatever it looks like, until what Python
writes between two errors or between two members of a group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from prefect_exporter.failures.bases import bases
from prefect_exporter.failures.facts import (
    MAX_MESSAGE,
    MAX_NAME,
    ErrorFacts,
    canonical,
    stack,
    status_of,
)

MAX_TEXT = 256 * 1024
"""Most characters of a text; of one that was cut the error itself is lost, which stands last."""

MAX_DEPTH = 8
"""Most levels of causes and members below an error that are looked at."""

MAX_ERRORS = 256
"""Most errors of one failure that are looked at."""

MAX_MEMBERS = 32
"""Most members of a group that are looked at; Python writes 15."""

HEADER = "Traceback (most recent call last):"
_GROUP_HEADER = f"  + Exception Group {HEADER}"
_HEADERS = frozenset({HEADER, _GROUP_HEADER})
_BETWEEN = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
_ERROR = re.compile(r"([^\W\d][\w.<>]{0,1023})(?::(?: (.*))?)?", re.DOTALL)
_FRAME = '  File "'
_MARGIN = re.compile(r"((?:  ){1,64})\|(?: |$)")
_MEMBER = re.compile(r"((?:  ){1,64})\+(-\+)?-{16} (?:\d{1,9}|\.\.\.) -{16}")
_END = re.compile(r"(?:  ){1,64}\+-{36}")
# What pools of processes hang on an error as its cause: the text of its traceback there.
_REMOTE = frozenset({"RemoteTraceback", "_RemoteTraceback"})
_REMOTE_QUOTE = '"""'


def read(text: str) -> ErrorFacts | None:
    """Return what the text of a traceback says of its error; None where it holds no traceback.

    Args:
        text: As Python writes it; lines before it, such as Prefect's own, say nothing.
    """
    if HEADER not in text or len(text) > MAX_TEXT:
        return None
    # Not `splitlines`, to which other characters are line ends too, as they stand in code.
    lines = text.replace("\r\n", "\n").split("\n")
    reader = _Reader()
    for line in lines[_start(lines) :]:
        reader.line(line)
    found = reader.top.error()
    return None if found is None else _Bounded().error(found)


def _start(lines: list[str]) -> int:
    """Return where the traceback begins: before it is a line of Prefect's, or several."""
    for at, line in enumerate(lines):
        if line in _HEADERS:
            return at
        # A cause that was never raised has no header of its own, nor has that of a pool.
        if (error := _ERROR.fullmatch(line)) and (_is_remote(error[1]) or _is_cause(lines, at)):
            return at
    return len(lines)


def _is_cause(lines: list[str], at: int) -> bool:
    return at + 2 < len(lines) and not lines[at + 1] and lines[at + 2] in _BETWEEN


def _is_remote(name: str) -> bool:
    return name.rpartition(".")[2] in _REMOTE


@dataclass(slots=True)
class _Error:
    """One error while its lines are read."""

    frames: list[tuple[str, str]] = field(default_factory=list)
    name: str = ""
    message: list[str] = field(default_factory=list)
    members: list[_Chain] = field(default_factory=list)

    def facts(self, cause: ErrorFacts | None) -> ErrorFacts:
        """Return what was read."""
        name = canonical(self.name)[:MAX_NAME]
        message = "\n".join(self.message).rstrip("\n")[:MAX_MESSAGE]
        members = (member.error() for member in self.members[:MAX_MEMBERS])
        return ErrorFacts(
            (name, *bases(name)),
            message,
            status_of(message),
            stack(self.frames),
            cause,
            tuple(member for member in members if member is not None),
        )


@dataclass(slots=True)
class _Chain:
    """Errors of which each was the cause of the next one."""

    errors: list[_Error] = field(default_factory=lambda: [_Error()])

    @property
    def last(self) -> _Error:
        """The one that is being read."""
        return self.errors[-1]

    def error(self) -> ErrorFacts | None:
        """Return the last one with its causes; None where its own line never came."""
        if not self.last.name:
            return None
        found: ErrorFacts | None = None
        for each in self.errors[-MAX_DEPTH - 1 :]:
            found = None if _is_remote(each.name) or not each.name else each.facts(found)
        return found

    def line(self, line: str) -> None:
        """Read a line, without the margin of its group."""
        error = self.last
        if error.name:
            if line in _BETWEEN and not error.message[-1] and not self._is_quoting():
                self.errors.append(_Error())
            else:
                error.message.append(line)
        elif line.startswith("  "):
            if frame := _frame(line):
                error.frames.append(frame)
        elif line not in _HEADERS and (match := _ERROR.fullmatch(line)):
            error.name, message = match[1], match[2] or ""
            error.message.append(message)

    def _is_quoting(self) -> bool:
        """Return whether this is the text of another process' traceback, not yet at its end."""
        error = self.last
        return _is_remote(error.name) and error.message.count(_REMOTE_QUOTE) == 1


class _Reader:
    """Takes the lines in their order, and knows in which member of which group each is.

    ``_chains`` has the chain of the outermost error, then that of its member, and so on.
    """

    def __init__(self) -> None:
        self.top = _Chain()
        self._chains = [self.top]
        self._in_group = False

    def line(self, line: str) -> None:
        """Read one line."""
        if self._in_group and (_END.fullmatch(line) or self._member(line)):
            return
        margin = _MARGIN.match(line) if self._in_group else None
        if margin:
            self._leave(len(margin[1]) // 2)
            self._chains[-1].line(line[margin.end() :])
            return
        self._leave(1)
        self._in_group = line == _GROUP_HEADER and not self.top.last.name
        self.top.line(line)

    def _member(self, line: str) -> bool:
        """Return whether a member of a group begins here."""
        match = _MEMBER.fullmatch(line)
        if match is None:
            return False
        # The first one stands below its group, the others beside the one before.
        self._leave(len(match[1]) // 2 - (0 if match[2] else 1))
        member = _Chain()
        self._chains[-1].last.members.append(member)
        self._chains.append(member)
        return True

    def _leave(self, depth: int) -> None:
        """Go back to the chain at a depth; the outermost one is at 1."""
        del self._chains[max(1, depth) :]


class _Bounded:
    """Leaves out what is too deep or too much, as the process that failed does."""

    def __init__(self) -> None:
        self._errors = MAX_ERRORS

    def error(self, error: ErrorFacts, depth: int = 0) -> ErrorFacts:
        """Return an error with as much below it as there may be."""
        self._errors -= 1
        below = depth + 1
        cause = error.cause
        kept = self.error(cause, below) if cause and self._may_keep(below) else None
        members = [self.error(each, below) for each in error.members if self._may_keep(below)]
        return replace(error, cause=kept, members=tuple(members))

    def _may_keep(self, depth: int) -> bool:
        return depth <= MAX_DEPTH and self._errors > 0


def _frame(line: str) -> tuple[str, str] | None:
    """Return a frame's path and function; None of other lines, such as code and carets."""
    if not line.startswith(_FRAME):
        return None
    path, found, rest = line[len(_FRAME) :].rpartition('", line ')
    number, comma, function = rest.partition(", in ")
    return (path, function) if found and comma and number.isdigit() else None
