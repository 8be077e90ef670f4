"""Events as lines: JSON or logfmt for programs, columns for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import orjson

from prefect_instrumentation._log_settings import Format

Renderer: TypeAlias = Callable[[Mapping[str, object]], str]
"""Makes an event a line, without its end; the event is as `_logs.sinks` has it."""

_UNSEEN = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Ends lines for some programs, moves a terminal's cursor, or turns text around."""

_CONTROLS = re.compile(rf"[\x00-\x09\x0b-\x1f{_UNSEEN}]")
_UNSEEN_IN_JSON = re.compile(f"[{_UNSEEN}]")
_NO_KEY = re.compile(rf'[\s="\x00-\x20{_UNSEEN}]')
_PAD = 30
_ELSEWHERE = frozenset({"exception", "stack", "trace_id", "span_id", "flow_run_id", "task_run_id"})
"""What a line for people leaves out: ids beside names, and what stands below it."""


def renderer(format_: Format | None, *, colours: bool = False) -> Renderer:
    """Return what makes events lines.

    Args:
        format_: `logfmt`, `console`, or else JSON.
        colours: for a terminal; they are of `console` alone.
    """
    if format_ == "logfmt":
        return _logfmt()
    if format_ == "console":
        return _console(colours=colours)
    return to_json


def to_json(event: object) -> str:
    """Return an event, or one of its values, as JSON on one line."""
    line = orjson.dumps(event, default=str).decode()
    if line.isprintable():
        return line
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _logfmt() -> Renderer:
    from structlog.processors import LogfmtRenderer  # noqa: PLC0415 - only who wants it pays

    render = LogfmtRenderer(bool_as_flag=False)

    def line(event: Mapping[str, object]) -> str:
        flat = {_NO_KEY.sub("_", name): _escaped(_flat(value)) for name, value in event.items()}
        return render(None, "", flat)

    return line


def _console(*, colours: bool) -> Renderer:
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - as above

    render = ConsoleRenderer(
        colors=colours, timestamp_key="time", sort_keys=False, pad_event_to=_PAD
    )

    def lines(event: Mapping[str, object]) -> str:
        shown = {
            _NO_KEY.sub("_", name): _escaped(_flat(value))
            for name, value in event.items()
            if name not in _ELSEWHERE
        }
        for name in ("exception", "stack"):
            if name in event:
                shown[name] = _visible(_traceback(event[name]))
        return render(None, "", shown)

    return lines


def _flat(value: object) -> object:
    return to_json(value) if isinstance(value, dict | list) else value


def _escaped(value: object) -> object:
    return _visible(value).replace("\n", "\\n") if isinstance(value, str) else value


def _visible(value: str) -> str:
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], value)


def _traceback(value: object) -> str:
    """Return structured frames as Python prints them, the root cause first."""
    if not isinstance(value, list):
        return str(value)
    parts = [_one(each) for each in reversed(value) if isinstance(each, dict)]
    return "\n\n".join(parts)


def _one(stack: Mapping[str, Any]) -> str:
    lines = ["Traceback (most recent call last):"] if stack.get("frames") else []
    lines += [
        f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
        for frame in stack.get("frames", ())
        if isinstance(frame, dict)
    ]
    lines.append(f"{stack.get('exc_type')}: {stack.get('exc_value')}")
    lines += [str(note) for note in stack.get("exc_notes", ())]
    lines += [
        "\n".join(f"  | {line}" for line in _traceback(member).splitlines())
        for member in stack.get("exceptions", ())
    ]
    return "\n".join(lines)
