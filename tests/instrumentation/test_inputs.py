"""What the line of a failure tells of the input."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import pytest

from observed import FLOW
from prefect_instrumentation import traced
from prefect_instrumentation._inputs import MAX_INPUTS, MAX_VALUE, describe_inputs
from prefect_instrumentation._log_settings import Input
from prefect_instrumentation._text import MAX_NAME
from traces import Hostile


class Colour(Enum):
    """An enumeration of the user's."""

    RED = 1


class Sized:
    """Says that it is large, and has no text."""

    __slots__ = ()

    def __len__(self) -> int:
        return 12

    def __str__(self) -> str:
        raise ValueError


PARAMETERS: dict[str, object] = {
    "day": date(2026, 11, 21),
    "order": 42,
    "share": 0.5,
    "dry": True,
    "note": None,
    "colour": Colour.RED,
    "path": PurePosixPath("/data/in"),
    "id": UUID(int=1),
    "rows": [1, 2, 3],
    "table": Sized(),
    "client": object(),
}


@traced(record=["rows"])
def load(rows: object = None) -> None:
    """Stand in for a flow that wants to see one parameter."""


def test_scalars_are_told_by_value_and_all_else_by_type_and_size() -> None:
    """What names an input is told; a table is told to be one."""
    assert {
        "day": "2026-11-21",
        "order": 42,
        "share": 0.5,
        "dry": True,
        "note": None,
        "colour": "Colour.RED",
        "path": "/data/in",
        "id": "00000000-0000-0000-0000-000000000001",
        "rows": "list of 3",
        "table": "Sized of 12",
        "client": "object",
    } == describe_inputs(replace(FLOW, parameters=PARAMETERS), "values")


@pytest.mark.parametrize(
    ("how", "expected"),
    [("types", {"day": "str", "rows": "list of 3"}), ("none", {})],
)
def test_values_can_be_kept_to_oneself(how: Input, expected: dict[str, object]) -> None:
    """By a setting the line tells types alone, or nothing."""
    run = replace(FLOW, parameters={"day": "monday", "rows": [1, 2, 3]})

    assert expected == describe_inputs(run, how)


def test_recorded_parameters_are_told_by_value() -> None:
    """What `@traced(record=...)` names is told, bounded, also where only types are."""
    run = replace(FLOW, function=load, parameters={"rows": [1, 2, 3], "day": "monday"})

    assert {"rows": "[1, 2, 3]", "day": "str"} == describe_inputs(run, "types")


def test_inputs_are_bounded_and_harmless() -> None:
    """Many, long and hostile parameters make a short answer, and raise nothing."""
    parameters = {f"{number}{'p' * 10_000}": "x" * 10_000 for number in range(100)}
    few = describe_inputs(replace(FLOW, parameters={"h": Hostile(), **parameters}), "values")

    assert ("Hostile", MAX_INPUTS) == (few["h"], len(few))
    assert all(len(str(value)) <= MAX_VALUE for value in few.values())
    assert all(len(name) <= MAX_NAME for name in few)
