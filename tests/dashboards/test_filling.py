"""A dashboard's variables and macros are filled in as Grafana does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pictures.asking import Window, macros, run_queries, step_seconds
from pictures.boards import Query, queries, unfolded
from pictures.choosing import choose
from pictures.variables import Chosen, UnknownVariableError, fill

WINDOW = Window(1_000_000.0, 1_003_600.0)


def query(text: str, **more: Any) -> Query:  # noqa: ANN401 - any of the fields
    """Return a query of Prometheus."""
    return Query("board", "panel", 1, "A", "prometheus", text, **more)


@pytest.mark.parametrize(
    ("text", "chosen", "expected"),
    [
        ('{flow="$flow"}', Chosen(["a"]), '{flow="a"}'),
        ('{flow="${flow}"}', Chosen(['a"b\\']), '{flow="a\\"b\\\\"}'),
        ('{flow=~"$flow"}', Chosen(["a.b"], many=True), '{flow=~"a\\\\.b"}'),
        ('{flow=~"[[flow]]"}', Chosen(["a", "b|c"], many=True), '{flow=~"(a|b\\\\|c)"}'),
        ('{flow=~"$flow|"}', Chosen(["a", "b"], many=True, everything=".*"), '{flow=~".*|"}'),
        ("${flow:csv} ${flow:pipe}", Chosen(["a", "b"], many=True), "a,b a|b"),
        ('{flow=~"$flow"}', Chosen([], many=True), '{flow=~""}'),
    ],
    ids=["one", "quoted", "pattern", "several", "all", "forms", "none"],
)
def test_variables_are_filled_in(text: str, chosen: Chosen, expected: str) -> None:
    """One value is a text, several are a regular expression, and All is what the board says."""
    assert expected == fill(text, {"flow": chosen})


def test_groups_of_label_replace_are_no_variables() -> None:
    """A dollar before a number stays."""
    assert 'label_replace(up, "a", "$1", "b", "(.*)")' == fill(
        'label_replace(up, "a", "$1", "b", "(.*)")', {}
    )


def test_unknown_variable_is_named() -> None:
    """A misspelled variable does not become an empty text."""
    with pytest.raises(UnknownVariableError, match="flwo"):
        fill("$flwo", {"flow": Chosen(["a"])})


@pytest.mark.parametrize(
    ("points", "least", "expected"), [(1600, 0, 15), (100, 0, 30), (100, 60, 60), (1, 0, 3600)]
)
def test_step_is_rounded_and_not_below_a_scrape(points: int, least: int, expected: int) -> None:
    """An hour in so many points has steps of a round number of seconds."""
    assert expected == step_seconds(query("up", points=points, min_step=least), WINDOW)


def test_rate_interval_spans_four_scrapes() -> None:
    """A rate sees several scrapes however small the step is."""
    small, large = macros(15, WINDOW), macros(300, WINDOW)

    assert "60s 15s 3600" == fill("$__rate_interval $__interval $__range_s", small)
    assert "315s 300000 3600s" == fill("$__rate_interval $__interval_ms $__range", large)


BOARD: Mapping[str, Any] = {
    "uid": "board",
    "annotations": {"list": [{"name": "Start", "datasource": {"type": "prometheus"}, "expr": "s"}]},
    "templating": {
        "list": [
            {"name": "target", "type": "query", "query": "label_values(up, target)", "multi": True},
            {
                "name": "flow",
                "type": "query",
                "query": {"query": 'label_values(runs{target=~"$target"}, flow)'},
                "includeAll": True,
                "allValue": ".*",
            },
        ]
    },
    "panels": [
        {
            "id": 1,
            "type": "row",
            "panels": [
                {
                    "id": 2,
                    "type": "stat",
                    "title": "Now",
                    "datasource": {"type": "prometheus"},
                    "targets": [
                        {"refId": "A", "expr": 'runs{flow=~"$flow"}', "instant": True},
                        {"refId": "B", "expr": "hidden", "hide": True},
                    ],
                }
            ],
        }
    ],
}


def prometheus(route: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Answer as a Prometheus with two targets of one flow each."""
    if route.startswith("/api/v1/label/target"):
        return {"data": ["a", "b"]}
    if route.startswith("/api/v1/label/flow"):
        assert 'runs{target=~"a"}' == parameters["match[]"]
        return {"data": ["etl"]}
    value = "NaN" if parameters["query"] == "s" else "1"
    return {
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [WINDOW.end, value]}]}
    }


def test_variables_are_chosen_one_after_the_other() -> None:
    """A variable has the values that those before it leave."""
    choice = choose(BOARD, prometheus, WINDOW)

    assert {
        "target": Chosen(["a"], many=True),
        "flow": Chosen(["etl"], many=True, everything=".*"),
    } == {**choice}


def test_single_values_are_chosen_where_wanted() -> None:
    """Without All a variable has its first value, or the preferred one."""
    choice = choose(BOARD, prometheus, WINDOW, everything=False, preferred={"target": "a"})

    assert {"target": Chosen(["a"], many=True), "flow": Chosen(["etl"], many=True)} == {**choice}


def test_queries_of_folded_rows_and_annotations_are_run() -> None:
    """All but hidden ones are asked, and an answer of NaN alone is no data."""
    answers = run_queries(
        {"prometheus": prometheus}, queries(BOARD), choose(BOARD, prometheus, WINDOW), WINDOW
    )

    assert [('runs{flow=~".*"}', True), ("s", False)] == [
        (answer.text, answer.has_data) for answer in answers
    ]


def test_unfolded_rows_push_down_what_follows() -> None:
    """Opened, a folded row shows its panels below its heading, and what came next below them."""
    folded = {"type": "row", "gridPos": {"y": 0, "h": 1}}
    inside = [{"gridPos": {"y": 1, "h": 8}}, {"gridPos": {"y": 9, "h": 4}}]
    panels = [{**folded, "panels": inside}, {"type": "row", "gridPos": {"y": 1, "h": 1}}]

    opened = unfolded({"panels": panels})["panels"]

    assert [0, 1, 9, 13] == [panel["gridPos"]["y"] for panel in opened]
    assert not any(panel.get("panels") for panel in opened)


def test_unknown_variable_of_a_query_is_its_error() -> None:
    """One bad query does not keep the others from being asked."""
    (bad, good) = run_queries({"prometheus": prometheus}, [query("$no"), query("up")], {}, WINDOW)

    assert (True, False) == (bad.error is not None, bad.has_data)
    assert (None, True) == (good.error, good.has_data)
