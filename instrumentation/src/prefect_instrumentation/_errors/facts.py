"""What is known of a failure, as plain values: all that its category and its fingerprint need.

Specified in docs/errors.md: who has no more than a state and the text of a traceback can make the
same values of them.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from prefect_instrumentation._errors.chain import cause_of, members_of, traceback_of
from prefect_instrumentation._runs import StateChange
from prefect_instrumentation._text import full_type_name, text

PLACES = 5
"""How many of the innermost frames tell one failure from another."""

MAX_DEPTH = 8
"""Most levels of causes and members below an error that are looked at."""

MAX_ERRORS = 256
"""Most errors of one failure that are looked at."""

MAX_FRAMES = 200_000
"""Most frames of one failure that are looked at; Python's own limit to recursion is 1000."""

_INLINED = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})
"""Frames that Python has no more since 3.12: https://peps.python.org/pep-0709/"""

_OF_PYTHON = re.compile(r"(?i)/(lib(64)?/python3\.\d+t?|python3\d+/lib)/(?!(site|dist)-packages/)")
_FROZEN = re.compile(r"<frozen (?:[\w.]*\.)?(\w+)>")
_PACKAGE = re.compile(r".*/(?:site|dist)-packages/([^/]+?)(?:\.py)?(?:/|$)")
_NOBODYS = frozenset({"prefect", "python"})
_CLIENT_OF_PREFECT = "/prefect/client/"

_SCRIPT = re.compile(r"(?:__main__|__mp_main__|__prefect_loader_\w*)\.")
"""Modules of a flow's file: how it was started, and where it is, decide which."""

_RENAMED = {"re.error": "re.PatternError"}
"""Classes that newer Pythons have another name for."""

_STATUS = re.compile(
    r"(?:Client|Server) error '([45]\d\d) |([45]\d\d) (?:Client|Server) Error|([45]\d\d), message="
)
"""How httpx, requests and aiohttp tell a response's status."""


_FAILING = range(400, 600)


@dataclass(frozen=True, slots=True)
class Stack:
    """Where an error was raised.

    Args:
        places: `file:function`, outermost first, of the frames that tell failures apart.
        innermost: `file:function` of the last frame, whosever it is.
        in_api_client: Prefect's own client was asking Prefect's API.
    """

    places: tuple[str, ...] = ()
    innermost: str = ""
    in_api_client: bool = False


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What is known of one error.

    Args:
        types: full name of its class, and of the classes that this derives from, nearest first.
        message: its text, bounded.
        status: of the HTTP response that it speaks of, 0 if it speaks of none.
        stack: where it was raised.
        cause: what it was raised from, or in the handling of.
        members: of a group.
    """

    types: tuple[str, ...]
    message: str = ""
    status: int = 0
    stack: Stack = field(default_factory=Stack)
    cause: ErrorFacts | None = None
    members: tuple[ErrorFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one failure.

    Args:
        error: None for a run that failed without raising.
        state: that the run ended in, in Prefect's words; None outside of runs.
    """

    error: ErrorFacts | None = None
    state: StateChange | None = None


def stack(frames: Iterable[tuple[str, str]]) -> Stack:
    """Return what tells a stack from another, of its frames' paths and functions.

    Args:
        frames: outermost first, as a traceback has them.
    """
    own: deque[str] = deque(maxlen=PLACES)
    packages: deque[str] = deque(maxlen=PLACES)
    called = innermost = ""
    after_engine = in_api_client = False
    for path, function in frames:
        if function in _INLINED:
            continue
        owner, file = _owner_and_file(path)
        innermost = f"{file}:{function}"
        if owner == "python":
            continue
        if owner == "prefect":
            after_engine = True
            in_api_client = in_api_client or _CLIENT_OF_PREFECT in path.replace("\\", "/")
            continue
        if after_engine:  # what the engine calls last fails alike in a flow and in its task
            own.clear()
            packages.clear()
            called, after_engine = "", False
        if owner:
            called = called or f"{owner}:{function}"
            _append(packages, innermost)
        else:
            called, in_api_client = "", False
            _append(own, innermost)
    places = [*own, called] if own and called else own or packages
    return Stack(tuple(places), innermost, in_api_client)


def status_of(message: str) -> int:
    """Return the HTTP status that an error's message begins with; 0 if there is none."""
    match = _STATUS.match(message)
    return int(next(filter(None, match.groups()))) if match else 0


def canonical(name: str) -> str:
    """Return a class' full name as every process and every Python has it."""
    if match := _SCRIPT.match(name):
        return name[match.end() :]
    return _RENAMED.get(name, name)


def read(error: BaseException) -> ErrorFacts:
    """Return what is known of an error."""
    return _Reader().error(error)


def where(error: BaseException) -> str:
    """Return the innermost line of the user's own code, else of a package's, that raised.

    It reads `flows.py:12 in load`, and "" for an error that was not raised by either.
    """
    found = {"own": "", "package": ""}
    for frame, line in islice(traceback.walk_tb(traceback_of(error)), MAX_FRAMES):
        owner, file = _owner_and_file(_path_everywhere(frame.f_code.co_filename))
        if owner not in _NOBODYS:
            found["package" if owner else "own"] = f"{file}:{line} in {frame.f_code.co_name}"
    return text(found["own"] or found["package"])


def name_of(kind: type) -> str:
    """Return a class' full name, without the module where that is `builtins` or a flow's file."""
    return canonical(full_type_name(kind))


class _Reader:
    """Reads one failure, for as long as its budget lasts."""

    def __init__(self) -> None:
        self._errors = MAX_ERRORS
        self._frames = MAX_FRAMES
        self._around: set[int] = set()

    def error(self, error: BaseException, depth: int = 0) -> ErrorFacts:
        self._errors -= 1
        self._around.add(id(error))
        message = text(error)
        found = ErrorFacts(
            tuple(name_of(base) for base in _bases(type(error))),
            message,
            _status(error) or status_of(message),
            stack(self._frames_of(error)),
            self._cause(error, depth + 1),
            tuple(self._members(error, depth + 1)),
        )
        self._around.discard(id(error))
        return found

    def _cause(self, error: BaseException, depth: int) -> ErrorFacts | None:
        cause = cause_of(error)
        if cause is None or not self._may_read(cause, depth):
            return None
        return self.error(cause, depth)

    def _members(self, error: BaseException, depth: int) -> Iterator[ErrorFacts]:
        for member in members_of(error):
            if self._may_read(member, depth):
                yield self.error(member, depth)

    def _may_read(self, error: BaseException, depth: int) -> bool:
        return depth <= MAX_DEPTH and self._errors > 0 and id(error) not in self._around

    def _frames_of(self, error: BaseException) -> Iterator[tuple[str, str]]:
        for frame, _ in traceback.walk_tb(traceback_of(error)):
            if self._frames == 0:
                return
            self._frames -= 1
            yield _path_everywhere(frame.f_code.co_filename), frame.f_code.co_name


def _append(places: deque[str], place: str) -> None:
    if not places or places[-1] != place:  # how deep a recursion was says nothing
        places.append(place)


@functools.lru_cache(maxsize=1024)
def _owner_and_file(path: str) -> tuple[str, str]:
    """Return whose a file is, and its name.

    The owner is a package's name, `python` also for what passes as Python's: our own wrappers, and
    code that was generated; or "" for the user.
    """
    path = path.replace("\\", "/")
    file = path.rpartition("/")[2]
    if frozen := _FROZEN.fullmatch(path):
        return "python", f"{frozen[1]}.py"
    if path.startswith("<"):  # such as `<string>`, `<attrs generated init shop.Order>`
        return "python", path
    if package := _PACKAGE.match(path):
        return ("python" if package[1] == "prefect_instrumentation" else package[1]), file
    return ("python" if _OF_PYTHON.search(path) else ""), file


@functools.lru_cache(maxsize=1024)
def _path_everywhere(path: str) -> str:
    """Return a path of this process as an ordinary installation of Python has it."""
    library = f"{Path(os.__file__).parent}{os.sep}"
    if path.startswith(library) and "-packages" not in path:
        return f"/lib/python3.11/{path.removeprefix(library)}"
    ours = str(Path(__file__).parent)
    for name, file in (("prefect", _file_of_prefect()), ("prefect_instrumentation", ours)):
        folder = f"{Path(file).parent}{os.sep}"
        if file and path.startswith(folder):
            return f"/site-packages/{name}/{path.removeprefix(folder)}"
    return path


def _file_of_prefect() -> str:
    return getattr(sys.modules.get("prefect"), "__file__", None) or ""


def _bases(kind: type[BaseException]) -> tuple[type, ...]:
    bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
    return tuple(base for base in bases if base not in (BaseException, object))


def _status(error: BaseException) -> int:
    """Return the status of the response that an error of an HTTP client has, 0 without one."""
    try:
        response = getattr(error, "response", None)
        if isinstance(response, dict):  # as botocore has it
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(response, "status_code", None)
        for name in ("status_code", "status", "code"):
            found = found if isinstance(found, int) else getattr(error, name, None)
        return int(found) if isinstance(found, int) and int(found) in _FAILING else 0
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return 0
