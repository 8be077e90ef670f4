"""Tables: one row for each thing, one column for each query, linked to other boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as model

from dashboards import links
from dashboards.panels import COUNT
from dashboards.sources import PROMETHEUS, listed

# Else a cell without a number would have the colour of the lowest threshold.
_UNKNOWN = model.SpecialValueMap(
    options=model.DashboardSpecialValueMapOptions(
        match=model.SpecialValueMatch.NULL_AND_NAN,
        result=model.ValueMappingResult(text="-", color="transparent"),
    )
)


@dataclass(frozen=True, slots=True)
class Label:
    """A column with a label of the rows.

    Args:
        name: The label.
        title: The column's head.
        link: Where a click leads.
        width: In pixels; 0 shares what is left.
    """

    name: str
    title: str
    link: links.Link | None = None
    width: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A column with a number.

    Args:
        title: The column's head.
        query: PromQL, or a query of another source; it has the labels of the table's rows.
        unit: Grafana's unit.
        thresholds: Colours of the cell; without, it has none.
        words: How values are told, where that is not by numbers.
        width: In pixels; 0 is as wide as its title.
    """

    title: str
    query: str | Builder[Dataquery]
    unit: str = COUNT
    thresholds: ThresholdsConfig | None = None
    words: model.ValueMap | None = None
    width: int = 0


def table_panel(
    title: str, description: str, labels: Sequence[Label], values: Sequence[Value]
) -> table.Panel:
    """Return a table, 24 wide and 10 high, sorted by its first number, the highest first."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit(COUNT)
        .datasource(PROMETHEUS)
        .with_transformation(model.DataTransformerConfig("merge", options={}))
        .with_transformation(_columns(labels, values))
        .sort_by([_descending(values[0].title)])
        .no_value("no data")
        .span(24)
        .height(10)
    )
    for value in values:
        query = listed(value.query) if isinstance(value.query, str) else value.query
        panel.with_target(query).override_by_name(value.title, _of_value(value))
    for label in labels:
        panel.override_by_name(label.title, _of_label(label))
    return panel


def _descending(title: str) -> common.TableSortByFieldState:
    return common.TableSortByFieldState().display_name(title).desc(True)


def _columns(labels: Sequence[Label], values: Sequence[Value]) -> model.DataTransformerConfig:
    """Return what puts columns in order, names them, and leaves out the time of the query."""
    refs = [f"Value #{chr(ord('A') + index)}" for index in range(len(values))]
    # Prometheus' source numbers values where there are several, Loki's always.
    fields = refs if len(values) > 1 or not isinstance(values[0].query, str) else ["Value"]
    titles = {label.name: label.title for label in labels}
    titles |= {field: value.title for field, value in zip(fields, values, strict=True)}
    return model.DataTransformerConfig(
        "organize",
        options={
            "excludeByName": {"Time": True},
            "indexByName": {name: index for index, name in enumerate(titles)},
            "renameByName": titles,
        },
    )


def _of_value(value: Value) -> list[model.DynamicConfigValue]:
    mappings = [value.words, _UNKNOWN] if value.words else [_UNKNOWN]
    properties = [
        model.DynamicConfigValue("unit", value.unit),
        model.DynamicConfigValue("mappings", mappings),
        model.DynamicConfigValue("custom.width", value.width or 40 + 8 * len(value.title)),
    ]
    if value.thresholds:
        properties.append(model.DynamicConfigValue("thresholds", value.thresholds.build()))
    if value.words or value.thresholds:
        cell = {"type": "color-background", "mode": "basic"}
        properties.append(model.DynamicConfigValue("custom.cellOptions", cell))
    return properties


def _of_label(label: Label) -> list[model.DynamicConfigValue]:
    properties = [
        model.DynamicConfigValue("unit", "string"),
        model.DynamicConfigValue("noValue", "-"),
    ]
    if label.link:
        properties.append(model.DynamicConfigValue("links", [label.link]))
    if label.width:
        properties.append(model.DynamicConfigValue("custom.width", label.width))
    return properties
