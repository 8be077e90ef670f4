"""What classes derive from: as the libraries have it, where they are installed here."""

from __future__ import annotations

import importlib

import pytest

from prefect_exporter.failures.bases import _by_name, bases
from prefect_exporter.failures.messages import error_of
from prefect_exporter.failures.rules import built_in
from prefect_instrumentation._errors import facts

DERIVED = _by_name()


@pytest.mark.parametrize("name", DERIVED)
def test_class_derives_from_what_the_table_says(name: str) -> None:
    """The names that both classes have for themselves."""
    module, _, short = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), short)
    except ImportError:
        pytest.skip(f"{module} is not installed")
    names = [facts.name_of(each) for each in found.__mro__]

    assert name == names[0]
    assert {*DERIVED[name]} <= {*names}


def test_bases_are_those_that_rules_ask_for() -> None:
    """A base that no rule names says nothing."""
    asked = {name for rules in built_in() for rule in rules for name in rule.types}

    assert {base for known in DERIVED.values() for base in known} <= asked


def test_classes_of_python_are_known() -> None:
    """Also where the module is not; of others nothing is."""
    assert ("ConnectionError", "OSError", "Exception") == bases("ConnectionRefusedError")
    assert ("ImportError", "Exception") == bases("*.ModuleNotFoundError")
    assert () == bases("shop.errors.ConnectionRefusedError")
    assert () == bases("print")


@pytest.mark.parametrize(
    ("message", "types"),
    [
        ("Flow run encountered an exception: Refused: no: 7", ("*.Refused",)),
        ("Flow run encountered an exception: Refused: ", ("*.Refused",)),
        ("Task run encountered an exception Refused: no", ("*.Refused",)),
        ("Validation of flow parameters failed with error: Refused: x", ("*.Refused",)),
        ("Execution was interrupted by an unexpected exception: Refused: x\ny", ("*.Refused",)),
        ("Request to http://prefect/api/ failed: Refused: .", ("*.Refused",)),
        ("Submission failed. Refused: x", ("*.Refused",)),
        ("Flow run encountered an exception: UniqueViolation: x", None),
    ],
)
def test_message_of_a_state_names_the_class(message: str, types: tuple[str, ...] | None) -> None:
    """In all the words that Prefect has for it."""
    error = error_of(message)

    assert error
    if types is None:
        assert {"psycopg.IntegrityError", "psycopg2.IntegrityError"} < {*error.types}
    else:
        assert types == error.types


@pytest.mark.parametrize(
    "message", ["", "the shop is closed: no", "2/5 states failed.", "Refused: no", "x" * 5000]
)
def test_message_of_a_state_that_names_none_is_not_guessed(message: str) -> None:
    """A state that a user returned may say anything."""
    assert error_of(message) is None
