"""Failures, how many and of what: panels that several boards share.

Each failed run ends with one line that has the error's fingerprint; docs/errors.md says what that
is. Lines are counted exactly, also the first of its kind.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries

from dashboards import links, palette, panels, tables
from dashboards.sources import LOKI, counted_lines, instant, listed_lines

LINES = '{service_name=~".+"} | flow!="" | flow=~"$flow" | deployment=~"$deployment"'
# docs/logging.md: what is cancelled is a warning.
_ENDED = f'{LINES} | logger="prefect_instrumentation.runs" | detected_level="error"'
_BY = "prefect_error_category, prefect_error_fingerprint, error_type, flow, task"


def number(window: str, failed: str) -> stat.Panel:
    """Return how many flow runs failed.

    Args:
        window: Such as `last hour`.
        failed: PromQL for the failures in it, by deployment.
    """
    return (
        panels.stat_panel(
            f"Failures, {window}",
            f"Flow runs that failed, timed out or crashed in the {window}, whatever time range is"
            " chosen. Subflows in the process of their parent are not counted again. Reckoned once"
            " a minute.",
            panels.COUNT,
        )
        .with_target(instant(f"round(sum({failed}))"))
        .thresholds(palette.rising(1, 10))
    )


def by_fingerprint(narrowed: str = "") -> table.Panel:
    """Return a table of what failed how often, one row for each fingerprint, flow and task.

    Args:
        narrowed: Further filters of lines, in LogQL.
    """
    counted = f"count_over_time({_ENDED} {narrowed} [$__range])"
    return (
        tables.table_panel(
            "Failures by fingerprint",
            "Flow and task runs that failed in the chosen time range, by what is the same again: a"
            " task's failure that its flow passes on stands in two rows of one fingerprint. Counts"
            " what processes logged; one that was killed could not.",
            [
                tables.Label("prefect_error_category", "Category", width=120),
                tables.Label("error_type", "Error"),
                tables.Label("flow", "Flow"),
                tables.Label("task", "Task"),
                tables.Label(
                    "prefect_error_fingerprint",
                    "Fingerprint",
                    links.to_board(
                        "Lines of this failure",
                        "prefect-errors",
                        {"fingerprint": "prefect_error_fingerprint", "flow": "flow"},
                    ),
                    width=170,
                ),
            ],
            [
                tables.Value(
                    "Failures",
                    listed_lines(f"sum by ({_BY}) ({counted})"),
                )
            ],
        )
        .datasource(LOKI)
        .no_value("no failures were logged")
        .span(24)
    )


def categories(narrowed: str = "") -> timeseries.Panel:
    """Return failed flow runs over time, by whose failure it was; narrowed likewise."""
    counted = f'count_over_time({_ENDED} | task="" {narrowed} [$__interval])'
    panel = (
        panels.bars(
            "Failed flow runs by category",
            "Flow runs that logged their failure in the time of each bar: of the code, the data,"
            " a system upstream, the infrastructure, the configuration, or too slow.",
        )
        .datasource(LOKI)
        .with_target(
            counted_lines(
                f"sum by (prefect_error_category) ({counted})", "{{prefect_error_category}}"
            )
        )
    )
    return panels.colored(panel, palette.CATEGORIES)
