"""An exception as structured frames of bounded size."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import TypeAlias

from prefect_instrumentation._errors.chain import cause_of, members_of, traceback_of
from prefect_instrumentation._logs.plain import Budget, plain, plain_text
from prefect_instrumentation._text import full_type_name, type_name

MAX_FRAMES = 20
"""Most frames of one exception: the outermost and the innermost ones."""

MAX_CHAIN = 8
"""Most exceptions of one chain, most members of a group, and most groups within groups."""

_HALF = MAX_FRAMES // 2

ExceptionInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def frames_of(info: ExceptionInfo, budget: Budget) -> list[object]:
    """Return an exception, then its causes, as structlog structures them; it never raises.

    Each is a dict: `exc_type`, `exc_value`, `exc_notes`, `is_cause`, `frames` with `filename`,
    `lineno` and `name`, and of a group `exceptions`, a list of such lists. No local variables.
    Structlog's own way is not taken: the time that it takes has no bound.

    Args:
        info: as `sys.exc_info` returns it.
        budget: of the whole.
    """
    try:
        return _chain(info[1], info[2], budget, MAX_CHAIN)
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return [{"exc_type": full_type_name(info[0]), "exc_value": plain_text(info[1], budget)}]


def _chain(
    error: BaseException, traceback: TracebackType | None, budget: Budget, depth: int
) -> list[object]:
    found: list[object] = []
    seen: set[int] = set()
    is_cause = False
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        if len(found) >= MAX_CHAIN or budget.left <= 0:
            budget.is_exceeded = True
            break
        seen.add(id(following))
        found.append(_one(following, traceback, budget, depth) | {"is_cause": is_cause})
        cause = cause_of(following)
        is_cause = cause is not None and cause is following.__cause__
        following, traceback = cause, None if cause is None else traceback_of(cause)
    return found


def _one(
    error: BaseException, traceback: TracebackType | None, budget: Budget, depth: int
) -> dict[str, object]:
    shown: dict[str, object] = {"exc_type": type_name(type(error)), "exc_value": error}
    if notes := getattr(error, "__notes__", None):
        shown["exc_notes"] = notes
    if isinstance(error, SyntaxError):
        shown["syntax_error"] = {
            "filename": error.filename,
            "lineno": error.lineno,
            "line": error.text,
        }
    shown |= {"is_cause": False, "frames": _ends(traceback)}
    kept = {name: plain(value, budget) for name, value in shown.items()}
    if members := members_of(error):
        kept |= {"is_group": True, "exceptions": _members(members, budget, depth - 1)}
    return kept


def _members(members: tuple[BaseException, ...], budget: Budget, depth: int) -> list[object]:
    if len(members) > MAX_CHAIN or depth <= 0:
        budget.is_exceeded = True
    few = members[:MAX_CHAIN] if depth > 0 else ()
    return [_chain(each, traceback_of(each), budget, depth) for each in few if budget.left > 0]


def _ends(traceback: TracebackType | None) -> list[object]:
    """Return the first and the last frames, and how many are between them."""
    first, last, count = [], deque[TracebackType](maxlen=_HALF), 0
    while traceback is not None:
        count += 1
        if count <= _HALF:
            first.append(traceback)
        else:
            last.append(traceback)
        traceback = traceback.tb_next
    skipped = count - MAX_FRAMES
    between = {"filename": "", "lineno": -1, "name": f"Skipped frames: {skipped}"}
    return [*map(_frame, first), *([between] if skipped > 0 else []), *map(_frame, last)]


def _frame(traceback: TracebackType) -> dict[str, object]:
    code = traceback.tb_frame.f_code
    return {"filename": code.co_filename, "lineno": traceback.tb_lineno, "name": code.co_name}
