"""Which levels are set, by the settings, Prefect's variables and what is there."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from prefect_instrumentation._logs.levels import CHATTY, OF_PREFECT, levels

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
START = {"": WARNING} | dict.fromkeys(OF_PREFECT, INFO)
"""As Prefect leaves it."""


def found(given: Mapping[str, int], said: str = "", **now: int) -> dict[str, int]:
    """Return the levels to set, the chatty libraries' apart."""
    there = {**START, **{name.strip("_"): level for name, level in now.items()}}
    wanted = levels(given, lambda name: name in said.split(), lambda name: there.get(name, 0))
    return {name: level for name, level in wanted.items() if name not in CHATTY}


def of_prefect(level: int) -> dict[str, int]:
    """Return the level for each logger of Prefect's that has one of its own."""
    return dict.fromkeys(OF_PREFECT, level)


def test_root_is_at_info() -> None:
    """Records of libraries and of the user's own loggers are logged from `info` on."""
    assert {"": INFO} == found({})


def test_chatty_libraries_say_warnings() -> None:
    """A library that logs each request does not fill the log, unless it is named."""
    wanted = levels({"httpx": DEBUG}, lambda _: False, lambda _: 0)

    assert WARNING == wanted["urllib3"]
    assert DEBUG == wanted["httpx"]


def test_level_of_a_users_own_code_stays() -> None:
    """What `setLevel` has said before is not undone."""
    wanted = levels({}, lambda _: False, lambda _: ERROR)

    assert {} == wanted


@pytest.mark.parametrize(
    ("given", "said", "wanted"),
    [
        ({"": DEBUG}, "", {"": DEBUG, **of_prefect(DEBUG)}),
        ({"": DEBUG}, "PREFECT_LOGGING_LEVEL", {"": DEBUG}),
        ({"": DEBUG}, "PREFECT_LOGGING_ROOT_LEVEL", {"": DEBUG, **of_prefect(DEBUG)}),
        ({"": ERROR, "prefect": DEBUG}, "", {"": ERROR, **of_prefect(DEBUG)}),
        ({"prefect": DEBUG}, "PREFECT_LOGGING_LEVEL", {"": INFO, **of_prefect(DEBUG)}),
        ({"prefect.client": ERROR}, "", {"": INFO, "prefect.client": ERROR}),
        ({"shop": DEBUG}, "PREFECT_LOGGING_ROOT_LEVEL", {"shop": DEBUG}),
        (
            {"": DEBUG},
            "PREFECT_LOGGING_LOGGERS_PREFECT_CLIENT_LEVEL",
            {"": DEBUG} | {name: DEBUG for name in OF_PREFECT if name != "prefect.client"},
        ),
        ({}, "PREFECT_LOGGING_ROOT_LEVEL", {}),
    ],
    ids=[
        *("root", "prefect's", "root's", "both", "prefect", "client", "other", "one", "none"),
    ],
)
def test_settings_and_prefects_variables_meet(
    given: Mapping[str, int], said: str, wanted: Mapping[str, int]
) -> None:
    """The root's level is Prefect's too unless Prefect's variable or a name says otherwise."""
    assert wanted == found(given, said)
