"""Where our handler is put: on the root, and in the place of those that Prefect prints by."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prefect_instrumentation import _logs
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._logs import known_runs, structlog_bridge
from prefect_instrumentation._logs.handler import LogHandler
from prefect_instrumentation._logs.levels import levels
from prefect_instrumentation._logs.rendering import renderer
from prefect_instrumentation._logs.sinks import Sink, StreamSink
from prefect_instrumentation._prefect import logging_hooks, run_loggers
from prefect_instrumentation._provider.signals import LOGS, is_new_enough, wants_logs
from prefect_instrumentation._secrets import redactor
from prefect_instrumentation._settings import Settings

_lock = threading.RLock()
_installed: _Installed | None = None


def install(settings: Settings) -> None:
    """Write a line for each record of this process; the first call counts until `uninstall`.

    Handlers of the user's stay as they are, and those that send records to Prefect's API too.
    """
    global _installed  # noqa: PLW0603 - one process, one logging
    with _lock:
        if _installed is not None:
            return
        _installed = _Installed(settings, LogHandler(_sinks(settings)))
        _logs.write_as(settings.logs)
        _installed.apply()
        logging_hooks.hook(_apply)
        run_loggers.hook(known_runs.note)
        structlog_bridge.bridge()


def uninstall() -> None:
    """Put everything back as it was."""
    global _installed  # noqa: PLW0603 - as above
    with _lock:
        if _installed is None:
            return
        structlog_bridge.unbridge()
        logging_hooks.unhook()
        run_loggers.unhook()
        known_runs.forget()
        _logs.write_as(None)
        _installed.withdraw()
        _installed = None


@dataclass(frozen=True, slots=True)
class _Installed:
    """What is in place, and what it has taken the place of.

    Args:
        settings: that it was installed with.
        handler: the one that writes.
        replaced: by the loggers' names, the handlers of Prefect's that were there.
        former_levels: by the loggers' names, the level before and the one since.
        wrapped: the handlers with a formatter of ours.
    """

    settings: Settings
    handler: LogHandler
    replaced: dict[str, list[logging.Handler]] = field(default_factory=dict)
    former_levels: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrapped: list[logging.Handler] = field(default_factory=list)

    def apply(self) -> None:
        """Put all in place that is not there, or not any more."""
        for logger in _loggers():
            consoles = [each for each in logger.handlers if logging_hooks.is_console(each, logger)]
            if consoles:
                self.replaced[logger.name] = consoles
                _exchange(logger, consoles, [] if _reaches_root(logger) else [self.handler])
            for each in logger.handlers:
                self._redact(each)
        _exchange(logging.root, [], [self.handler])
        wanted = levels(self.settings.logs.levels, logging_hooks.said, _level)
        for name, level in wanted.items():
            self.former_levels[name] = (_level(name), level)
            logging.getLogger(name).setLevel(level)

    def withdraw(self) -> None:
        """Undo it all."""
        for logger in _loggers():
            _exchange(logger, [self.handler], self.replaced.get(logger.name, []))
        for handler in self.wrapped:
            if isinstance(handler.formatter, _Redacting):
                handler.setFormatter(handler.formatter.inner)
        for name, (before, since) in self.former_levels.items():
            logger = logging.getLogger(name)
            if logger.level == since:
                logger.setLevel(before)
        self.handler.close()

    def _redact(self, handler: logging.Handler) -> None:
        if logging_hooks.is_api(handler) and not isinstance(handler.formatter, _Redacting):
            handler.setFormatter(_Redacting(handler.formatter))
            self.wrapped.append(handler)


class _Redacting(logging.Formatter):
    """Formats as another formatter does, without secrets."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return what goes to Prefect's API and UI."""
        shown = self.inner.format(record) if self.inner else super().format(record)
        return redactor().text(shown)


def _apply() -> None:
    with _lock:
        if _installed is not None:
            _installed.apply()


def _sinks(settings: Settings) -> list[Sink]:
    logs = settings.logs
    plain = renderer(logs.format)
    sinks: list[Sink] = [StreamSink(logs.stream, plain, renderer(logs.format, colours=True))]
    if logs.file:
        from prefect_instrumentation._logs.files import FileSink  # noqa: PLC0415 - an option

        sinks.append(FileSink(logs, plain))
    if wants_logs(os.environ) and is_new_enough(LOGS):
        sinks += filter(None, [_otlp(settings)])
    return sinks


@guarded
def _otlp(settings: Settings) -> Sink:
    from prefect_instrumentation._logs.otlp import OtlpSink  # noqa: PLC0415 - an option

    sink: Sink = OtlpSink(settings)
    return sink


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for each in list(logging.root.manager.loggerDict.values()):
        if isinstance(each, logging.Logger):
            yield each


def _reaches_root(logger: logging.Logger) -> bool:
    while logger.propagate and logger.parent:
        logger = logger.parent
    return logger is logging.root


def _level(name: str) -> int:
    return logging.getLogger(name).level


def _exchange(
    logger: logging.Logger, old: Sequence[logging.Handler], new: Sequence[logging.Handler]
) -> None:
    for each in old:
        logger.removeHandler(each)
    for each in new:
        logger.addHandler(each)
