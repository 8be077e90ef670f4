"""The specification: its golden vectors, its tables, and a reader that has no more than text."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from error_rule_rows import rows
from error_vectors import DOCUMENT, VECTORS, facts_of
from prefect_instrumentation import _errors
from prefect_instrumentation._errors import digests, facts
from prefect_instrumentation._errors.facts import ErrorFacts, stack
from prefect_instrumentation._errors.rule_table import BUILT_IN, GENERAL, SPECIFIC
from prefect_instrumentation._errors.rules import CATEGORIES, Rules, classify

SPECIFICATION = Path(__file__).parents[2] / "docs" / "errors.md"


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
    assert expected["category"] == classify(facts, BUILT_IN)


def test_vectors_are_of_this_version_and_of_every_category() -> None:
    """The file speaks of the version that is implemented, and leaves no category out."""
    seen = {vector["expected"]["category"] for vector in VECTORS.values()}

    assert digests.VERSION == DOCUMENT["version"]
    assert [*CATEGORIES] == DOCUMENT["categories"]
    assert {*CATEGORIES} == seen
    assert len(DOCUMENT["vectors"]) == len(VECTORS)


def test_vectors_named_the_same_have_the_fingerprint_of_the_one_before() -> None:
    """The vectors show what makes no difference."""
    named = [
        (name.startswith("same"), each["expected"]["fingerprint"]) for name, each in VECTORS.items()
    ]
    pairs = list(itertools.pairwise(named))

    assert all(before == after for (_, before), (is_same, after) in pairs if is_same)
    assert 10 <= sum(is_same for is_same, _ in named)


@pytest.mark.parametrize("rules", [SPECIFIC, GENERAL], ids=["specific", "general"])
def test_table_of_the_specification_is_the_table_of_the_code(rules: Rules) -> None:
    """Every rule stands in the document, in its order."""
    assert "\n".join(rows(rules)) in SPECIFICATION.read_text()


def test_digest_is_that_of_the_documents_example() -> None:
    """A reader of the text alone gets the same digits."""
    document = SPECIFICATION.read_text()
    written = re.search(r"^\[1,.*\]$", document, re.MULTILINE)
    digest = re.search(r"^is `([0-9a-f]{16})`", document, re.MULTILINE)

    assert written
    assert digest
    assert digest[1] == hashlib.sha256(written[0].encode()).hexdigest()[:16]
    assert digest[1] == VECTORS["error-of-a-flow"]["expected"]["fingerprint"]


def test_types_that_rules_name_are_those_of_the_libraries() -> None:
    """Names in rules are the names that classes have for themselves, where they can be seen."""
    import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - dear, for this test alone
    import httpx  # noqa: PLC0415 - likewise
    import prefect.exceptions as prefect  # noqa: PLC0415 - likewise
    import pydantic  # noqa: PLC0415 - likewise
    import redis  # noqa: PLC0415 - likewise
    import requests  # noqa: PLC0415 - likewise
    import sqlalchemy.exc as sqlalchemy  # noqa: PLC0415 - likewise

    named = {name for rules in BUILT_IN for rule in rules for name in rule.types}
    classes: list[type[BaseException]] = [
        *(asyncpg.QueryCanceledError, asyncpg.IntegrityConstraintViolationError, asyncpg.DataError),
        *(httpx.TimeoutException, httpx.ConnectError, httpx.RequestError, httpx.InvalidURL),
        *(prefect.ParameterTypeError, prefect.PrefectHTTPStatusError, prefect.MissingFlowError),
        *(redis.TimeoutError, redis.AuthenticationError, pydantic.ValidationError),
        *(requests.Timeout, requests.HTTPError, requests.exceptions.MissingSchema),
        *(sqlalchemy.IntegrityError, sqlalchemy.DataError, sqlalchemy.ProgrammingError),
    ]

    assert [] == [each for each in classes if facts.name_of(each) not in named]
    of_prefect = {name for name in named if name.startswith("prefect.")}
    assert {f"prefect.exceptions.{name}" for name in vars(prefect)} >= of_prefect


def fail() -> None:
    """Fail."""
    raise ValueError("no")


def walk(depth: int) -> None:
    """Fail below a recursion."""
    if depth:
        walk(depth - 1)
    fail()


def wrap() -> None:
    """Fail because of a failure."""
    try:
        fail()
    except ValueError as error:
        raise LookupError("load failed") from error


def handle() -> None:
    """Fail in the handling of a failure of Python's own code."""
    try:
        json.loads("{")
    except ValueError:
        walk(20)


@pytest.mark.parametrize("function", [fail, lambda: walk(50), wrap, handle])
def test_text_of_a_traceback_is_enough(function: Callable[[], None]) -> None:
    """Who has the text that Python prints gets the fingerprint that the process has."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever it is
        function()
    text = "".join(traceback.format_exception(raised.value))

    assert _errors.fingerprint(raised.value) == digests.of_error(_of_text(text))


def _of_text(text: str) -> ErrorFacts:
    """Return what the specification reads of a traceback's text."""
    parts = re.split(
        r"\n(?:The above exception was the direct|During handling of the above)[^\n]+\n", text
    )
    found = None
    for part in parts:
        last = part.rstrip().splitlines()[-1]
        found = ErrorFacts((last.partition(":")[0],), stack=stack(_frames(part)), cause=found)
    assert found
    return found


def _frames(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r'^  File "(.+)", line \d+, in (.+)$', text, re.MULTILINE)
