"""The specification, as the exporter has it: vectors, tables, and what texts say."""

from __future__ import annotations

import re
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from error_rule_rows import rows
from failures.vectors import DOCUMENT, VECTORS, error_of, facts_of, state_of
from prefect_exporter.failures import digests, tracebacks
from prefect_exporter.failures.facts import ErrorFacts, Facts
from prefect_exporter.failures.rules import CATEGORIES, built_in, classify
from prefect_instrumentation._errors.rule_table import BUILT_IN

SPECIFICATION = Path(__file__).parents[2] / "docs" / "errors.md"
TEXTS = {name: vector for name, vector in VECTORS.items() if "traceback" in vector}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_vector_comes_out(vector: dict[str, Any]) -> None:
    """What the specification promises is what is computed."""
    facts = facts_of(vector)
    if facts.error:
        found = (facts.error.types[0], digests.of_error(facts.error))
    else:
        assert facts.state
        name = facts.state.name
        found = (f"prefect.{name}", digests.of_state(name, vector["function"]))

    expected = vector["expected"]
    assert (expected["type"], expected["fingerprint"]) == found
    assert expected["category"] == classify(facts)


@pytest.mark.parametrize("vector", TEXTS.values(), ids=TEXTS)
def test_text_of_a_vector_says_what_its_facts_say(vector: dict[str, Any]) -> None:
    """All but the classes that libraries' errors derive from stands in the text."""
    error = tracebacks.read(vector["traceback"])

    assert error
    assert untyped(error_of(vector["error"])) == untyped(error)
    expected = vector["expected"]
    assert (expected["type"], expected["fingerprint"], expected["category"]) == (
        error.types[0],
        digests.of_error(error),
        classify(Facts(error, state_of(vector))),
    )


def test_vectors_are_of_this_version_and_hold_texts() -> None:
    """The file speaks of the version that is implemented, and of its categories."""
    assert digests.VERSION == DOCUMENT["version"]
    assert [*CATEGORIES] == DOCUMENT["categories"]
    assert len(TEXTS) >= 8


def test_rules_are_those_of_the_specification_and_of_the_instrumentation() -> None:
    """Every rule, in its order, in all three places."""
    document = SPECIFICATION.read_text()
    for own, theirs in zip(built_in(), BUILT_IN, strict=True):
        table = "\n".join(rows(own))  # type: ignore[arg-type]  # the same fields

        assert "\n".join(rows(theirs)) == table
        assert table in document


def test_patterns_of_rules_are_linear() -> None:
    """A message of any kind is searched at once: no pattern repeats what is repeated already."""
    for rules in built_in():
        for rule in rules:
            if rule.message:
                assert not re.search(r"[+*}][)][+*{]", rule.message.pattern)


def untyped(error: ErrorFacts) -> tuple[object, ...]:
    """Return an error's facts with no more of its types than the first."""
    cause = error.cause and untyped(error.cause)
    members = tuple(untyped(member) for member in error.members)
    return error.types[0], error.message, error.status, astuple(error.stack), cause, members
