"""What the settings of `prefect_instrumentation` take, and what they make of the rest."""

from __future__ import annotations

import logging

import pytest

from prefect_instrumentation._settings import Settings, read


def test_nothing_set_is_the_defaults() -> None:
    """Without variables, runs never link, and a process is delayed by a second at most."""
    expected = Settings(service_name="prefect", environment="", link_after=None, exit_timeout=1.0)

    assert expected == read({})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("0.5", 0.5),
        ("250ms", 0.25),
        ("30s", 30.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        (" 1.5 H ", 5400.0),
    ],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """A duration is a number of seconds, or has a unit."""
    read_settings = read(
        {
            "PREFECT_INSTRUMENTATION_LINK_AFTER": text,
            "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": text,
        }
    )

    assert (seconds, seconds) == (read_settings.link_after, read_settings.exit_timeout)


@pytest.mark.parametrize(
    "text", ["soon", "-1", "1e9", "10 minutes", "1m30s", "inf", "nan", "9999999", "\u0661", "1\n2"]
)
def test_bad_duration_is_told_and_left(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line names the variable, its value, what it takes and what is used; nothing raises."""
    with caplog.at_level(logging.WARNING):
        settings = read({"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": text})

    told = (
        f"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT={text!r} is not a duration such as 0.5, 30s, 10m"
        " or 2h; using 1s"
    )
    assert (Settings(), [told]) == (settings, caplog.messages)


def test_bad_value_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """A value of any length makes a short line."""
    read({"PREFECT_INSTRUMENTATION_LINK_AFTER": "x" * 1_000_000})

    assert 1 == len(caplog.messages)
    assert len(caplog.messages[0]) < 250
    assert caplog.messages[0].endswith("using none")


def test_environment_is_stripped() -> None:
    """Blanks around the name are no part of it; a blank value is none."""
    name = "PREFECT_INSTRUMENTATION_ENVIRONMENT"

    assert "production" == read({name: " production\n"}).environment
    assert Settings() == read({name: " ", "PREFECT_INSTRUMENTATION_LINK_AFTER": ""})
