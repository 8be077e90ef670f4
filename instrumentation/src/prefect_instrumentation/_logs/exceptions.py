"""An exception as structured frames of bounded size."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from prefect_instrumentation._logs.plain import Budget, plain, plain_text
from prefect_instrumentation._text import full_type_name

MAX_FRAMES = 20
"""Most frames of one exception: the outermost and the innermost ones."""

MAX_CHAIN = 8
"""Most exceptions of one chain, and most members of one group that are shown."""

_T = TypeVar("_T")

ExceptionInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def frames_of(info: ExceptionInfo, budget: Budget) -> list[object]:
    """Return an exception, then its causes, as structlog structures them; it never raises.

    Each is a dict: `exc_type`, `exc_value`, `exc_notes`, `is_cause`, `frames` with `filename`,
    `lineno` and `name`, and of a group `exceptions`, a list of such lists. No local variables.

    Args:
        info: as `sys.exc_info` returns it.
        budget: of the whole.
    """
    try:
        # Not before: it takes 15 ms, and most processes log no exception.
        from structlog.tracebacks import ExceptionDictTransformer  # noqa: PLC0415

        transform = ExceptionDictTransformer(
            show_locals=False, max_frames=sys.maxsize, use_rich=False
        )
        return _chain(transform(info), budget)
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return [{"exc_type": full_type_name(info[0]), "exc_value": plain_text(info[1], budget)}]


def _chain(stacks: list[dict[str, Any]], budget: Budget) -> list[object]:
    return [_shortened(each, budget) for each in _few(stacks, budget)]


def _shortened(stack: dict[str, Any], budget: Budget) -> dict[str, object]:
    shown = {name: stack[name] for name in ("exc_type", "exc_value")}
    shown |= {name: stack[name] for name in ("exc_notes", "syntax_error") if stack[name]}
    shown |= {"is_cause": stack["is_cause"], "frames": _ends(stack["frames"])}
    kept = {name: plain(value, budget) for name, value in shown.items()}
    if stack["is_group"]:
        kept["is_group"] = True
        kept["exceptions"] = [_chain(each, budget) for each in _few(stack["exceptions"], budget)]
    return kept


def _few(items: list[_T], budget: Budget) -> list[_T]:
    if len(items) > MAX_CHAIN:
        budget.is_exceeded = True
    return items[:MAX_CHAIN] if budget.left > 0 else []


def _ends(frames: list[object]) -> list[object]:
    skipped = len(frames) - MAX_FRAMES
    if skipped <= 0:
        return frames
    half = MAX_FRAMES // 2
    between = {"filename": "", "lineno": -1, "name": f"Skipped frames: {skipped}"}
    return [*frames[:half], between, *frames[-half:]]
