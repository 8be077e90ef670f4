"""Triggers of automations, as they are and as nobody should write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.report.graph.arrows import event_name
from prefect_exporter.report.graph.triggers import leaves

RUN = {"prefect.resource.id": "prefect.flow-run.x"}
FLOW = {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow"}
TAG = {"prefect.resource.id": "prefect.tag.db", "prefect.resource.role": "tag"}


@pytest.mark.parametrize(
    ("match", "covers"),
    [
        ({}, True),
        ({"prefect.resource.id": "prefect.flow-run.*"}, True),
        ({"prefect.resource.id": ["prefect.task-run.*", "prefect.flow-run.*"]}, True),
        ({"prefect.resource.id": "prefect.task-run.*"}, False),
        ({"prefect.resource.id": "prefect.flow-run.*", "absent": "*"}, False),
        ({"prefect.resource.id": "!prefect.task-run.*"}, True),
        ({"prefect.resource.id": "!prefect.flow-run.*"}, False),
    ],
    ids=str,
)
def test_resource_is_matched_as_prefect_does(match: dict[str, object], *, covers: bool) -> None:
    """Globs, lists of which one is enough, negation, and labels that have to be there."""
    (leaf,) = leaves({"type": "event", "match": match})

    assert covers is leaf.covers(RUN)


@pytest.mark.parametrize(
    ("related", "covers"),
    [
        ({}, True),
        (FLOW, True),
        ([FLOW, TAG], True),
        ([FLOW, {"prefect.resource.id": "prefect.tag.other"}], False),
        ({"prefect.resource.id": ["prefect.flow.2", "prefect.flow.1"]}, True),
        # Both labels have to be of one resource.
        ({"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "tag"}, False),
    ],
    ids=str,
)
def test_related_resources_are_matched_as_prefect_does(related: object, *, covers: bool) -> None:
    """One specification has to fit one resource; of several, each has to fit some."""
    (leaf,) = leaves({"type": "event", "match_related": related})

    assert covers is leaf.covers_related([FLOW, TAG])


def test_compound_and_sequence_triggers_have_many_leaves() -> None:
    """All that a compound trigger waits for counts, at any depth."""
    inner = {"type": "sequence", "triggers": [{"expect": ["b"]}, {"after": ["c"]}]}
    found = leaves({"type": "compound", "require": "all", "triggers": [{"expect": ["a"]}, inner]})

    assert [each.events for each in found] == [("a",), ("b",), ("c",)]


def test_metric_and_proactive_triggers_say_so() -> None:
    """A metric has its name, and one that waits for absence is known by its posture."""
    (metric,) = leaves({"type": "metric", "metric": {"name": "lateness"}})
    (absent,) = leaves({"type": "event", "posture": "Proactive", "expect": ["a"]})

    assert event_name(metric) == "metric lateness"
    assert absent.absence


@pytest.mark.parametrize(
    "trigger",
    [
        None,
        [],
        "text",
        {"triggers": "none"},
        {"triggers": [None, 7]},
        {"expect": {"a": 1}, "match": [1], "match_related": [[], None, 3]},
        {"match": {"prefect.resource.id": {"deep": 1}}},
        {"metric": {"name": 7}},
    ],
    ids=repr,
)
def test_hostile_shapes_are_left_out(trigger: object) -> None:
    """What Prefect would not take is read without an error."""
    for leaf in leaves(trigger):
        assert leaf.covers(RUN) in (True, False)
        assert leaf.covers_related([FLOW]) in (True, False)
        event_name(leaf)


def test_deep_and_wide_triggers_are_bounded() -> None:
    """A trigger within a trigger within ... ends, and so does a list of thousands."""
    deep: dict[str, Any] = {"expect": ["a"]}
    for _ in range(500):
        deep = {"triggers": [deep]}

    assert leaves(deep) == []
    assert len(leaves({"triggers": [{"triggers": [{"expect": ["a"]}] * 999}] * 999})) == 64
    assert len(leaves({"expect": ["x" * 10_000] * 999})[0].events) == 64


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["triggers", "expect", "match", "match_related", "metric", "name"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_no_shape_is_an_error(trigger: object) -> None:
    """Whatever JSON a trigger is, it is read."""
    for leaf in leaves(trigger):
        leaf.hears("prefect.flow-run.Completed")
        assert leaf.covers(RUN) in (True, False)
        assert leaf.covers_related([FLOW]) in (True, False)
        event_name(leaf)
