"""The board of indicators follows kpis.yml: what is added there has its panels here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dashboards import kpis
from dashboards.palette import BAD, GOOD
from dashboards.written import as_json
from kpi import Kind, Kpi, load

ORDERS = Kpi(
    name="orders",
    title="Orders",
    description="Orders that were loaded.",
    unit="orders",
    kind=Kind.COUNTER,
    metric="shop_orders_total",
    of="",
    by=("target", "shop"),
    bound="at_least",
    target=100,
    window_seconds=3600,
    team="sales",
    severity="warning",
)


def shown(*indicators: Kpi) -> Sequence[Mapping[str, Any]]:
    """Return the headings and panels of a board of these indicators."""
    panels: Sequence[Mapping[str, Any]] = json.loads(as_json(kpis.board(indicators)))["panels"]
    return panels


def test_each_indicator_has_a_row() -> None:
    """A heading, its number, its history and its alert, in the order of the file."""
    titles = [panel["title"] for panel in shown(ORDERS, replace(ORDERS, name="x", title="Else"))]

    assert titles == [
        *("Orders", "Orders", "Orders over time", "Orders: alert"),
        *("Else", "Else", "Else over time", "Else: alert"),
    ]


def test_file_of_the_repository_is_what_is_shown() -> None:
    """Nothing but kpis.yml has to be changed."""
    assert as_json(kpis.board()) == as_json(kpis.board(load()))


def test_target_is_told() -> None:
    """In words, and by the colour that the number has on either side of it."""
    _, now, history, _ = shown(ORDERS)
    steps = [(each["value"], each["color"]) for each in _steps(now)]

    assert now["description"] == (
        "Orders that were loaded. Target: at least 100 orders in 1h; team sales."
    )
    assert (steps[0], steps[-1]) == ((None, BAD), (100, GOOD))
    assert _steps(now) == _steps(history)


def test_number_that_shall_stay_low_is_bad_above_its_target() -> None:
    """Colours turn round with the bound."""
    _, now, _, _ = shown(replace(ORDERS, bound="at_most"))
    steps = [(each["value"], each["color"]) for each in _steps(now)]

    assert (steps[0], steps[-1]) == ((None, GOOD), (100, BAD))


def _steps(panel: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    steps: Sequence[Mapping[str, Any]] = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return steps


@pytest.mark.parametrize(
    ("unit", "target", "shows", "says"),
    [
        ("seconds", 900, "s", "15m"),
        ("ratio", 0.05, "percentunit", "5 %"),
        ("bytes", 4096, "bytes", "4096 bytes"),
        ("orders", 0.5, "suffix: orders", "0.5 orders"),
    ],
)
def test_unit_is_grafanas(unit: str, target: float, shows: str, says: str) -> None:
    """Seconds, bytes and ratios are as on other boards; any other word follows the number."""
    _, now, _, _ = shown(replace(ORDERS, unit=unit, target=target))

    assert now["fieldConfig"]["defaults"]["unit"] == shows
    assert f"at least {says} in" in now["description"]


def test_groups_are_named_by_their_labels() -> None:
    """An indicator of several groups shows each; one without groups has its title."""
    _, now, *_ = shown(ORDERS)
    _, alone, *_ = shown(replace(ORDERS, by=()))

    assert now["targets"][0]["legendFormat"] == "{{target}} {{shop}}"
    assert alone["targets"][0]["legendFormat"] == "Orders"


def test_alert_is_that_of_the_indicator() -> None:
    """Firing is told from waiting, and neither is claimed where nothing tells the number."""
    *_, alert = shown(ORDERS)
    expr = alert["targets"][0]["expr"]

    assert expr.count('alertname="PrefectKpiMissed", kpi="orders"') == 2
    assert expr.endswith('or 0 * max(kpi:orders{team=~"$team", target=~"$target|"})')
