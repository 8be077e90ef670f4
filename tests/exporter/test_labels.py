"""Label values: few words, and names that stay short, apart and readable."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefect_exporter.labels import (
    MAX_CHARACTERS,
    OUTCOMES,
    TERMINAL,
    clip,
    outcome,
    result,
    subflow,
    task_name,
)

ANY_TEXT = st.text(st.characters(), max_size=400)


@pytest.mark.parametrize(
    ("state_type", "state_name", "expected"),
    [
        ("COMPLETED", "Completed", "completed"),
        ("COMPLETED", "Cached", "cached"),
        ("COMPLETED", "Looks good", "completed"),
        ("COMPLETED", None, "completed"),
        ("FAILED", "Failed", "failed"),
        ("FAILED", "TimedOut", "timed_out"),
        ("FAILED", "Cached", "failed"),
        ("COMPLETED", "TimedOut", "completed"),
        ("CRASHED", "Crashed", "crashed"),
        ("CANCELLED", "Cancelled", "cancelled"),
    ],
)
def test_outcome_goes_by_type_and_known_name(
    state_type: str, state_name: str | None, expected: str
) -> None:
    """A name of the user's own goes by its type; Prefect's two are words of their own."""
    assert expected == outcome(state_type, state_name)


@given(st.sampled_from(sorted(TERMINAL)), ANY_TEXT)
def test_every_end_has_one_of_the_outcomes(state_type: str, state_name: str) -> None:
    """Whatever a state is called, there are no more outcomes than those listed."""
    assert outcome(state_type, state_name) in OUTCOMES


def test_result_is_success_failure_or_nothing() -> None:
    """A cancelled run's duration says nothing about how long the work takes."""
    expected = ["success", "success", "failure", "failure", "failure", None]

    assert expected == [result(each) for each in OUTCOMES]


@pytest.mark.parametrize(
    ("has_parent", "has_deployment", "expected"),
    [
        (False, False, "false"),
        (False, True, "false"),
        (True, False, "true"),
        (True, True, "deployment"),
    ],
)
def test_subflow_says_how_a_run_came_about(
    *, has_parent: bool, has_deployment: bool, expected: str
) -> None:
    """A child of its own deployment is told from one that ran inside its parent."""
    assert expected == subflow(has_parent=has_parent, has_deployment=has_deployment)


@pytest.mark.parametrize(
    ("task_key", "expected"),
    [
        ("load-0a1b2c3d", "load"),
        ("load", "load"),
        ("load-0a1b2c3d-0a1b2c3d", "load-0a1b2c3d"),
        ("load-0A1B2C3D", "load-0A1B2C3D"),
        ("load-0a1b2c3", "load-0a1b2c3"),
        ("", ""),
        ("-0a1b2c3d", ""),
    ],
    ids=repr,
)
def test_task_name_is_without_its_code_hash(task_key: str, expected: str) -> None:
    """An edit of the task's code does not make it another task."""
    assert expected == task_name(task_key)


@given(ANY_TEXT)
@example("x" * MAX_CHARACTERS)
@example("x" * (MAX_CHARACTERS + 1))
@example("\ud800" * 200)
def test_clipped_name_is_bounded(name: str) -> None:
    """No label value is longer than the limit."""
    assert len(clip(name)) <= MAX_CHARACTERS


@given(ANY_TEXT)
def test_short_name_is_itself(name: str) -> None:
    """A name within the limit is not touched, and clipping twice is clipping once."""
    clipped = clip(name)

    assert clipped == clip(clipped)
    assert len(name) > MAX_CHARACTERS or name == clipped


@given(st.text(min_size=150, max_size=200), ANY_TEXT, ANY_TEXT)
def test_two_long_names_stay_two(start: str, one: str, other: str) -> None:
    """Names that differ only after the limit are told apart."""
    assert (one == other) is (clip(start + one) == clip(start + other))


@given(st.text(min_size=150))
def test_clipped_name_begins_like_the_name(name: str) -> None:
    """A person finds a long name by its beginning."""
    assert name.startswith(clip(name)[: MAX_CHARACTERS - 9])
