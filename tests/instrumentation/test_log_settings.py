"""Settings of log lines: what each variable means, and what is told of a bad one."""

from __future__ import annotations

import logging

import pytest

from prefect_instrumentation import _log_settings, _settings
from prefect_instrumentation._log_settings import LogSettings

PREFIX = "PREFECT_INSTRUMENTATION_"


def read(environment: str = "", **variables: str) -> LogSettings:
    """Return the settings that the variables give, named without their prefix."""
    environ = {f"{PREFIX}{name}": value for name, value in variables.items()}
    return _log_settings.read(environ, environment)


def test_nothing_said_is_the_default() -> None:
    """An empty environment leaves every setting at its default."""
    assert LogSettings() == read()


def test_all_is_read() -> None:
    """Each variable sets its own setting, in whatever case and with blanks around."""
    assert LogSettings(
        format="console",
        levels={"": logging.WARNING, "shop": logging.DEBUG},
        stream="stderr",
        file="/var/log/flows.log",
        file_max_bytes=500_000,
        file_max_age=7200.0,
        file_backups=3,
        error_input="types",
        trace_url="https://jaeger.example.com/trace/{trace_id}",
    ) == read(
        LOGS=" Console ",
        LOG_LEVEL="WARNING, shop = debug,",
        LOG_STREAM="stderr",
        LOG_FILE="/var/log/flows.log",
        LOG_FILE_MAX_BYTES="500 KB",
        LOG_FILE_MAX_AGE="2h",
        LOG_FILE_BACKUPS="3",
        ERROR_INPUT="types",
        TRACE_URL="https://jaeger.example.com/trace/{trace_id}",
    )


def test_level_of_an_environment_wins() -> None:
    """In production its own variable wins, logger by logger; elsewhere it says nothing."""
    said = {
        "LOG_LEVEL": "info,shop=debug",
        "LOG_LEVEL_PRODUCTION": "shop=error",
        "LOG_LEVEL_EU_STAGING_2": "warning",
    }

    assert {"": logging.INFO, "shop": logging.ERROR} == read("production", **said).levels
    assert {"": logging.INFO, "shop": logging.DEBUG} == read("test", **said).levels
    assert {"": logging.WARNING, "shop": logging.DEBUG} == read("eu-staging.2", **said).levels


def test_level_of_an_environment_given_in_code_wins_too() -> None:
    """The environment that `setup()` is given decides as the variable's would."""
    environ = {f"{PREFIX}LOG_LEVEL_PRODUCTION": "error", f"{PREFIX}ENVIRONMENT": "staging"}

    assert {} == _settings.read(environ).logs.levels
    assert {"": logging.ERROR} == _settings.read(environ, "production").logs.levels


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LOGS", "yaml", "is not one of json, logfmt, console, none; using the default"),
        ("LOG_STREAM", "syslog", "is not one of stdout, stderr; using stdout"),
        (
            "LOG_LEVEL",
            "shop=loud",
            "'shop=loud' is not a level (debug, info, warning, error, critical), or a logger=level",
        ),
        ("LOG_FILE_MAX_BYTES", "0", "is not a size such as 500kb, 100mb or 1gb; using 100000000"),
        ("LOG_FILE_MAX_BYTES", "-5", "is not a size"),
        ("LOG_FILE_MAX_AGE", "soon", "is not a duration"),
        ("LOG_FILE_BACKUPS", "many", "is not a whole number up to 9999; using 7"),
        ("ERROR_INPUT", "all", "is not one of values, types, none; using values"),
        ("TRACE_URL", "http://jaeger", "is not an address with {trace_id} in it; using none"),
    ],
)
def test_bad_value_is_told_of_in_one_line(
    name: str, value: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the variable, its value and what is used; the setting stays as it was."""
    assert LogSettings() == read(**{name: value})

    (record,) = caplog.records
    assert record.getMessage().startswith(f"{PREFIX}{name}=")
    assert told in record.getMessage()
