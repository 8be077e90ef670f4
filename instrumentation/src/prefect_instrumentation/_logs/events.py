"""A record of `logging` as an event: what was said, where, of which run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from opentelemetry import trace

from prefect_instrumentation import _correlation, _errors, _log_context
from prefect_instrumentation import attributes as names
from prefect_instrumentation._errors.context import facts_of
from prefect_instrumentation._logs import known_runs
from prefect_instrumentation._logs.exceptions import frames_of
from prefect_instrumentation._logs.plain import MAX_ITEMS, Budget, name_of, plain, plain_text
from prefect_instrumentation._text import MAX_NAME, text

KEYS_OF_STRUCTLOG = "_prefect_instrumentation_event"
"""The record's attribute that holds what a structlog logger was given."""

MESSAGE_SIZE = 17_000
CALLER_SIZE = 20_000
EXCEPTION_SIZE = 20_000
"""Bytes of JSON; with the run's own keys a line has at most 64 KiB."""

RUN_KEYS = (
    *("flow", "flow_run_id", "flow_run_name"),
    *("task", "task_run_id", "task_run_name"),
    *("deployment", "work_pool", "attempt"),
)
ERROR_KEYS = (
    *(names.ERROR_TYPE, names.ERROR_FINGERPRINT, names.ERROR_CATEGORY),
    *("error_context", "exception", "stack", "truncated"),
)
OURS = frozenset(
    (
        *("time", "level", "event", "logger", "correlation_id", "trace_id", "span_id"),
        *RUN_KEYS,
        *ERROR_KEYS,
    )
)
"""What a caller may not call his own values: his have `_` after the name."""

_OF_PREFECT = {
    "flow_name": "flow",
    "flow_run_id": "flow_run_id",
    "flow_run_name": "flow_run_name",
    "task_name": "task",
    "task_run_id": "task_run_id",
    "task_run_name": "task_run_name",
    "deployment_name": "deployment",
    "work_pool_name": "work_pool",
}
"""What Prefect's loggers put on a record, and our key for it."""

_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOT_THE_CALLERS = {
    *_OF_LOGGING,
    *_OF_PREFECT,
    *("send_to_api", "color_message", KEYS_OF_STRUCTLOG),
}
_UNKNOWN = ("", "<unknown>")
_OF_A_TASK = ("task", "task_run_id", "task_run_name", "attempt")


def event_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the record's event, its keys in their order; secrets are still in it.

    Values are plain and bounded. A key without a value is left out.
    """
    said, given = _said(record)
    message, caller = Budget(MESSAGE_SIZE), Budget(CALLER_SIZE)
    event: dict[str, object] = {
        "time": _time(record.created),
        "level": text(record.levelname, MAX_NAME).lower(),
        "event": plain_text(said, message),
        "logger": name_of(record.name),
        **_context(record),
    }
    error = _error(record)
    is_own = record.name.startswith("prefect_instrumentation")
    for name, value in _caller(given, caller):
        if is_own and name in ERROR_KEYS:
            error[name] = value
        else:
            event[_free(name, event)] = value
    event |= {name: error[name] for name in ERROR_KEYS if name in error}
    if message.is_exceeded or caller.is_exceeded:
        event["truncated"] = True
    return event


def context_now() -> dict[str, object]:
    """Return what lines say of this place: the correlation id, the span's ids, the run's keys."""
    return {**_request(), **_log_context.current()}


def _time(created: float) -> str:
    try:
        moment = datetime.fromtimestamp(created, UTC)
        return f"{moment.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
    except Exception:  # noqa: BLE001 - who makes a record by hand may have put anything there
        return _time(0)


def _said(record: logging.LogRecord) -> tuple[object, Mapping[str, Any]]:
    """Return the message, and what the caller has given besides."""
    given = vars(record)
    keys = given.get(KEYS_OF_STRUCTLOG)
    if keys is None and isinstance(record.msg, dict) and "_name" in given:
        keys = record.msg  # of a user's own chain, which ends with `wrap_for_formatter`
        hidden = ("level", "logger", "timestamp")
        keys = {name: value for name, value in keys.items() if name not in hidden}
    if isinstance(keys, Mapping):
        rest = {name: value for name, value in given.items() if name not in ("_logger", "_name")}
        return keys.get("event", ""), {**rest, **{k: v for k, v in keys.items() if k != "event"}}
    try:
        return record.getMessage(), given
    except Exception:  # noqa: BLE001 - such as a `%d` for what is no number
        return f"{text(record.msg)} {text(record.args)}", given


def _context(record: logging.LogRecord) -> dict[str, object]:
    """Return of which run the record is: what it says itself wins over where it was made."""
    own = vars(record)
    named: dict[str, object] = {
        ours: shown
        for theirs, ours in _OF_PREFECT.items()
        if own.get(theirs) is not None and (shown := name_of(own[theirs])) not in _UNKNOWN
    }
    run = _log_context.current()
    if not named:
        return context_now()
    if named.get("flow_run_id", run.get("flow_run_id")) != run.get("flow_run_id"):
        around = _correlated() if run else _request()
        return {**(known_runs.of(named["flow_run_id"]) or around), **named}
    if named.get("task_run_id", run.get("task_run_id")) != run.get("task_run_id"):
        run = {name: value for name, value in run.items() if name not in _OF_A_TASK}
    merged = {**run, **named}
    return {**_request(), **{name: merged[name] for name in RUN_KEYS if name in merged}}


def _correlated() -> dict[str, object]:
    correlation_id = _correlation.current()
    return {"correlation_id": correlation_id} if correlation_id else {}


def _request() -> dict[str, object]:
    found = _correlated()
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        found["trace_id"] = f"{span.trace_id:032x}"
        found["span_id"] = f"{span.span_id:016x}"
    return found


def _caller(given: Mapping[str, Any], budget: Budget) -> Iterator[tuple[str, object]]:
    own = ((name, value) for name, value in given.items() if name not in _NOT_THE_CALLERS)
    for name, value in islice(own, MAX_ITEMS):
        key = name_of(name)
        if budget.spend(len(key) + 4):
            yield key, plain(value, budget)


def _free(name: str, event: Mapping[str, object]) -> str:
    while name in OURS or name in event:
        name = f"{name}_"
    return name


def _error(record: logging.LogRecord) -> dict[str, object]:
    budget = Budget(EXCEPTION_SIZE)
    found: dict[str, object] = {}
    info = record.exc_info
    if isinstance(info, tuple) and isinstance(info[1], BaseException):
        error = info[1]
        found |= _errors.describe(error)
        if facts := facts_of(error):
            found["error_context"] = facts
        found["exception"] = frames_of((type(error), error, info[2]), budget)
    elif record.exc_text:  # what came from another process has no more
        found["exception"] = plain_text(record.exc_text, budget)
    if record.stack_info:
        found["stack"] = plain_text(record.stack_info, budget)
    if budget.is_exceeded:
        found["truncated"] = True
    return found
