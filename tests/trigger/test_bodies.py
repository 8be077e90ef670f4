"""What a request may say: anything else is a problem, never an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trigger.bodies import MAX_DEPTH, StartRun, parse
from trigger.problems import Invalid, Malformed, Problem

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_nothing_is_no_parameters() -> None:
    """A request without a body starts a run as the deployment has it."""
    assert [{}, {}] == [parse(b"").parameters, parse(b"{}").parameters]


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b"no json", Malformed, "the body is no JSON: Invalid JSON: expected ident"),
        (b"[" * 60_000, Malformed, "the body is no JSON: Invalid JSON: recursion limit"),
        (b'{"parameters": {"a": "\\ud800"}}', Malformed, "the body is no JSON"),
        (b"[]", Invalid, "body: Input should be an object"),
        (b'{"parameters": 1}', Invalid, "parameters: Input should be an object"),
        (b'{"params": {}}', Invalid, "params: Extra inputs are not permitted"),
        (b'{"parameters": {"a": NaN}}', Invalid, "parameters: a number is NaN or infinite"),
        (b'{"parameters": {"a": 1e999}}', Invalid, "parameters: a number is NaN or infinite"),
        (b'{"parameters": {"a": 9223372036854775808}}', Invalid, "parameters: a whole number"),
        (b'{"parameters": {"a\\u0000": 1}}', Invalid, "parameters: a text holds a NUL character"),
        (b'{"parameters": {"a": ["\\u0000"]}}', Invalid, "parameters: a text holds a NUL"),
        (
            b'{"parameters": {"a": [{"__prefect_kind": "workspace_variable"}]}}',
            Invalid,
            "parameters: the key __prefect_kind is not taken",
        ),
        (
            b'{"parameters":' + b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 2),
            Invalid,
            "parameters: nested deeper than 20 levels",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_bad_body_is_told_of_in_plain_words(body: bytes, kind: type[Problem], detail: str) -> None:
    """Each kind of bad body is refused for its own reason."""
    with pytest.raises(Problem) as caught:
        parse(body)

    assert (kind, True) == (type(caught.value), caught.value.detail.startswith(detail))


@given(st.binary() | JSON.map(lambda value: json.dumps({"parameters": {"a": value}}).encode()))
@example(b"\xff")
def test_any_body_is_a_request_or_a_problem(body: bytes) -> None:
    """Nothing but a problem comes of whatever is sent, and what is taken has a digest."""
    try:
        told = parse(body).digest("flow/deployment")
    except Problem as problem:
        told = problem.detail

    assert 0 < len(told) < 500


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.lists(st.text())))
def test_order_of_names_is_no_difference(parameters: dict[str, Any]) -> None:
    """Two bodies that say the same are the same, however they are written."""
    turned = dict(reversed(parameters.items()))

    assert StartRun(parameters=parameters).digest("a/b") == StartRun(parameters=turned).digest(
        "a/b"
    )


@pytest.mark.parametrize(
    ("deployment", "parameters"),
    [("a/c", {"x": 1}), ("a/b", {"x": 2}), ("a/b", {}), ("a/b", {"x": "1"})],
)
def test_difference_is_another_digest(deployment: str, parameters: dict[str, Any]) -> None:
    """Another deployment or other parameters are another request."""
    one = StartRun(parameters={"x": 1}).digest("a/b")

    assert one != StartRun(parameters=parameters).digest(deployment)
