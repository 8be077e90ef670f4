"""Settings of log lines, read from the environment."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from prefect_instrumentation._variables import choice, duration, warn

FORMAT = "PREFECT_INSTRUMENTATION_LOGS"
LEVEL = "PREFECT_INSTRUMENTATION_LOG_LEVEL"
"""Also with `_` and the environment's name in capitals after it, which then wins."""

STREAM = "PREFECT_INSTRUMENTATION_LOG_STREAM"
FILE = "PREFECT_INSTRUMENTATION_LOG_FILE"
FILE_MAX_BYTES = "PREFECT_INSTRUMENTATION_LOG_FILE_MAX_BYTES"
FILE_MAX_AGE = "PREFECT_INSTRUMENTATION_LOG_FILE_MAX_AGE"
FILE_BACKUPS = "PREFECT_INSTRUMENTATION_LOG_FILE_BACKUPS"
ERROR_INPUT = "PREFECT_INSTRUMENTATION_ERROR_INPUT"
TRACE_URL = "PREFECT_INSTRUMENTATION_TRACE_URL"

Format: TypeAlias = Literal["json", "logfmt", "console", "none"]
Stream: TypeAlias = Literal["stdout", "stderr"]
Input: TypeAlias = Literal["values", "types", "none"]

_DAY = 86_400.0
_SIZE = re.compile(r"(\d{1,9})\s*(kb|mb|gb|)", re.ASCII)
_BYTES = {"": 1, "kb": 1000, "mb": 1000_000, "gb": 1000_000_000}
_COUNT = re.compile(r"\d{1,4}", re.ASCII)
_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What may be chosen of log lines.

    Args:
        format: of the lines; None where nothing is said, `none` to leave Prefect's logging alone.
        levels: least levels by a logger's name, "" being the root's, as `logging` has them.
        stream: where lines go.
        file: path of a file that they go to as well, "" for none.
        file_max_bytes: a file this large is put aside, compressed.
        file_max_age: seconds after which it is, however small.
        file_backups: so many of those put aside are kept.
        error_input: what the line of a failed run says of the run's parameters.
        trace_url: address of a trace's page, with `{trace_id}` in it; "" for none.
    """

    format: Format | None = None
    levels: Mapping[str, int] = field(default_factory=dict)
    stream: Stream = "stdout"
    file: str = ""
    file_max_bytes: int = 100_000_000
    file_max_age: float = _DAY
    file_backups: int = 7
    error_input: Input = "values"
    trace_url: str = ""


def read(environ: Mapping[str, str], environment: str) -> LogSettings:
    """Return the settings that the variables give; a bad one is told of and left at its default.

    Args:
        environ: the variables.
        environment: such as `production`; a level that is set for it wins.
    """
    defaults = LogSettings()
    return LogSettings(
        format=choice(environ, FORMAT, get_args(Format), None),
        levels=_levels(environ, environment),
        stream=choice(environ, STREAM, get_args(Stream), defaults.stream),
        file=environ.get(FILE, "").strip(),
        file_max_bytes=_size(environ, FILE_MAX_BYTES, defaults.file_max_bytes),
        file_max_age=duration(environ, FILE_MAX_AGE, defaults.file_max_age) or _DAY,
        file_backups=_count(environ, FILE_BACKUPS, defaults.file_backups),
        error_input=choice(environ, ERROR_INPUT, get_args(Input), defaults.error_input),
        trace_url=_trace_url(environ),
    )


def _levels(environ: Mapping[str, str], environment: str) -> dict[str, int]:
    suffix = re.sub(r"\W", "_", environment.upper(), flags=re.ASCII)
    found: dict[str, int] = {}
    for name in (LEVEL, f"{LEVEL}_{suffix}" if suffix else ""):
        for each in filter(None, (part.strip() for part in environ.get(name, "").split(","))):
            logger, _, level = each.rpartition("=")
            if level.strip().lower() in _LEVELS:
                found[logger.strip()] = logging.getLevelNamesMapping()[level.strip().upper()]
            else:
                warn(name, each, f"a level ({', '.join(_LEVELS)}), or a logger=level", "none")
    return found


def _size(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    match = _SIZE.fullmatch(text.lower())
    if match and int(match[1]):
        return int(match[1]) * _BYTES[match[2]]
    if text:
        warn(name, text, "a size such as 500kb, 100mb or 1gb", str(default))
    return default


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if _COUNT.fullmatch(text):
        return int(text)
    if text:
        warn(name, text, "a whole number up to 9999", str(default))
    return default


def _trace_url(environ: Mapping[str, str]) -> str:
    text = environ.get(TRACE_URL, "").strip()
    if not text or "{trace_id}" in text:
        return text
    warn(TRACE_URL, text, "an address with {trace_id} in it", "none")
    return ""
