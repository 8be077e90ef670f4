"""Panels with what all of one kind share; a board adds queries, thresholds and size.

Each takes a title, a description (what the number counts, and what to make of it) and a unit of
Grafana's, and returns a builder of the SDK, so that everything else is said in the SDK's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    logs,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

from dashboards import palette
from dashboards.sources import LOKI, PROMETHEUS

COUNT = "short"
SECONDS = "s"
BYTES = "bytes"
RATIO = "percentunit"
PER_SECOND = "ops"
TIMESTAMP = "dateTimeFromNow"


class Colored(Protocol):
    """A builder of a panel whose series have names."""

    def override_by_name(self, name: str, properties: list[model.DynamicConfigValue]) -> Self:
        """Set properties of the series or column *name*."""

    def override_by_regexp(self, regexp: str, properties: list[model.DynamicConfigValue]) -> Self:
        """Set properties of all series whose name matches."""


PanelT = TypeVar("PanelT", bound=Colored)


def stat_panel(title: str, description: str, unit: str) -> stat.Panel:
    """Return a number, 6 wide and 4 high."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .thresholds(palette.plain())
        .color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .span(6)
        .height(4)
    )


def graph(title: str, description: str, unit: str) -> timeseries.Panel:
    """Return lines over time, 12 wide and 8 high."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .min(0)
        .line_width(2)
        .fill_opacity(8)
        .show_points(kinds.VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
        .no_value("no data")
        .span(12)
        .height(8)
    )


def bars(title: str, description: str) -> timeseries.Panel:
    """Return stacked numbers of things in each interval of time, 12 wide and 8 high."""
    return (
        graph(title, description, COUNT)
        .draw_style(kinds.GraphDrawStyle.BARS)
        .stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
        .fill_opacity(90)
        .line_width(0)
        .legend(_legend().calcs(["sum"]))
        .decimals(0)
        .interval("1m")
        .max_data_points(100)
    )


def ranking(title: str, description: str, unit: str) -> bargauge.Panel:
    """Return horizontal bars, one for each series, 12 wide and 8 high."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .min(0)
        .thresholds(palette.plain())
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
        .span(12)
        .height(8)
    )


def timeline(
    title: str, description: str, words: Mapping[str, tuple[str, str]]
) -> statetimeline.Panel:
    """Return bands of states over time, 24 wide and 6 high.

    Args:
        title: The panel's.
        description: The panel's.
        words: For each value, as text, what it says and its colour.
    """
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .unit(COUNT)
        .datasource(PROMETHEUS)
        .mappings([mapping(words)])
        .show_value(kinds.VisibilityMode.AUTO)
        .merge_values(True)
        .legend(_legend().show_legend(False))
        .no_value("no data")
        .span(24)
        .height(6)
    )


def log_lines(title: str, description: str) -> logs.Panel:
    """Return log lines, the newest first, 24 wide and 10 high."""
    return (
        logs.Panel()
        .title(title)
        .description(description)
        .datasource(LOKI)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(kinds.LogsSortOrder.DESCENDING)
        .span(24)
        .height(10)
    )


def spread(title: str, description: str, unit: str) -> heatmap.Panel:
    """Return how values spread over time, 12 wide and 8 high; darker is more."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .unit(COUNT)
        .datasource(PROMETHEUS)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().scheme("Cividis").steps(32))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .exemplars_color(palette.VERMILION)
        .show_legend()
        .max_data_points(100)
        .interval("1m")
        .span(12)
        .height(8)
    )


def mapping(words: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    """Return how values are told: for each, as text, what it says and its colour."""
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def colored(panel: PanelT, colors: Mapping[str, str]) -> PanelT:
    """Give series and columns of these names their colours."""
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def colored_like(panel: PanelT, colors: Mapping[str, str]) -> PanelT:
    """Give series whose names match these regular expressions their colours."""
    for pattern, color in colors.items():
        panel.override_by_regexp(f"/{pattern}/", [fixed(color)])
    return panel


def color_lines(panel: model.Panel) -> model.Panel:
    """Give each line that a query names, and that has no colour yet, one of `palette.LINES`.

    Names from labels are Grafana's to colour; its palette for the colour-blind is new in 13.
    """
    if panel.type_val != "timeseries" or panel.field_config is None:
        return panel
    legends = (getattr(query, "legend_format", None) for query in panel.targets or ())
    names = [name for name in legends if name and "{{" not in name]
    overrides = panel.field_config.overrides
    plain = [name for name in names if not any(_matches(each, name) for each in overrides)]
    for name, color in zip(plain, palette.LINES, strict=False):
        matcher = model.MatcherConfig("byName", name)
        overrides.append(model.DashboardFieldConfigSourceOverrides(matcher, [fixed(color)]))
    return panel


def _matches(override: model.DashboardFieldConfigSourceOverrides, name: str) -> bool:
    pattern = str(override.matcher.options)
    if override.matcher.id_val == "byRegexp":
        return re.search(pattern.strip("/"), name) is not None
    return pattern == name


def fixed(color: str) -> model.DynamicConfigValue:
    """Return the property of an override that gives a field this colour."""
    return model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
