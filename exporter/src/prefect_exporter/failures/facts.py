"""What is known of a failure, as docs/errors.md has it: all that rules and fingerprints read."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

PLACES = 5
"""How many of the innermost frames tell one failure from another."""

MAX_MESSAGE = 1024
"""Most characters of a message."""

MAX_NAME = 256
"""Most characters of a class' name."""

_INLINED = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})
_OF_PYTHON = re.compile(r"(?i)/(lib(64)?/python3\.\d+t?|python3\d+/lib)/(?!(site|dist)-packages/)")
_FROZEN = re.compile(r"<frozen (?:[\w.]*\.)?(\w+)>")
_PACKAGE = re.compile(r".*/(?:site|dist)-packages/([^/]+?)(?:\.py)?(?:/|$)")
_CLIENT_OF_PREFECT = "/prefect/client/"

_SCRIPT = re.compile(r"(?:__main__|__mp_main__|__prefect_loader_\w*)\.")
_RENAMED = {"re.error": "re.PatternError"}

_STATUS = re.compile(
    r"(?:Client|Server) error '([45]\d\d) |([45]\d\d) (?:Client|Server) Error|([45]\d\d), message="
)


@dataclass(frozen=True, slots=True)
class Stack:
    """Where an error was raised.

    Args:
        places: ``file:function``, outermost first, of the frames that tell failures apart.
        innermost: ``file:function`` of the last frame, whosever it is.
        in_api_client: Prefect's own client was asking Prefect's API.
    """

    places: tuple[str, ...] = ()
    innermost: str = ""
    in_api_client: bool = False


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What is known of one error.

    Args:
        types: Full name of its class, and of those that it is known to derive from.
        message: Its text, bounded.
        status: Of the HTTP response that it speaks of, 0 if it speaks of none.
        cause: What it was raised from, or in the handling of.
        members: Of a group.
    """

    types: tuple[str, ...]
    message: str = ""
    status: int = 0
    stack: Stack = field(default_factory=Stack)
    cause: ErrorFacts | None = None
    members: tuple[ErrorFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class StateFacts:
    """The state that a run ended in, in Prefect's words."""

    type: str
    name: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one failure; no *error* where nothing was raised."""

    error: ErrorFacts | None = None
    state: StateFacts | None = None


def stack(frames: Iterable[tuple[str, str]]) -> Stack:
    """Return what tells a stack from another, of its frames' paths and functions.

    Args:
        frames: Outermost first, as a traceback has them.
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


def _append(places: deque[str], place: str) -> None:
    if not places or places[-1] != place:  # how deep a recursion was says nothing
        places.append(place)


@lru_cache(maxsize=4096)
def _owner_and_file(path: str) -> tuple[str, str]:
    """Return whose a file is, "" for the user's own, and its name."""
    path = path.replace("\\", "/")
    file = path.rpartition("/")[2]
    if frozen := _FROZEN.fullmatch(path):
        return "python", f"{frozen[1]}.py"
    if path.startswith("<"):  # such as `<string>`, `<attrs generated init shop.Order>`
        return "python", path
    if package := _PACKAGE.match(path):
        return ("python" if package[1] == "prefect_instrumentation" else package[1]), file
    return ("python" if _OF_PYTHON.search(path) else ""), file
