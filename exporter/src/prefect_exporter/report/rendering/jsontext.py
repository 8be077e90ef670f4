"""A report as JSON, by docs/report.schema.json."""

from __future__ import annotations

import json
import re

import msgspec

from prefect_exporter.report.model import Report

_NO_ASCII = re.compile(r"[^\x00-\x7e]")


def render(report: Report) -> str:
    """Return the report as JSON, indented, with a line break at its end."""
    try:
        body = msgspec.json.encode(report)
    except UnicodeEncodeError:
        body = msgspec.json.encode(_fit(msgspec.to_builtins(report)))
    return as_text(body) + "\n"


def as_text(body: bytes) -> str:
    """Return JSON with indents, in which nothing is hidden and nothing commands a terminal."""
    return _NO_ASCII.sub(_seen, msgspec.json.format(body, indent=2).decode())


def _seen(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]


def _fit(value: object) -> object:
    """Return a value without halves of surrogate pairs, as names of files may have them."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_fit(name): _fit(each) for name, each in value.items()}
    return [_fit(each) for each in value] if isinstance(value, list | tuple) else value
