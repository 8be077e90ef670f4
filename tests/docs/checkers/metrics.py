"""Every metric that something of the stack makes, or that a rule of ours reads or records."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from alert_rules import RECORDED, RULES
from backup_metrics import backup_metrics
from contexts import settings_of
from prefect_exporter import report_schedule, self_metrics, traffic
from prefect_exporter.collectors import every
from prefect_instrumentation._meters import definitions
from queried_metrics import queried_metrics

_PARTS = ("bucket", "sum", "count")
# What stands in a query beside names: texts, labels, ranges, comments, groupings and numbers.
_OTHER = re.compile(
    r"""
    "(?:\\.|[^"\\])*" | \{[^}]*\} | \[[^\]]*\] | \#.*
    | \b(?:by|without|on|ignoring|group_left|group_right)\b\s*(?:\([^)]*\))?
    | \b\d[\w.]*
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[a-zA-Z_:][\w:]*(?![\w:]|\s*\()")
_WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan", "atan2"}


@functools.cache
def known_metrics() -> frozenset[str]:
    """Return their names, the parts of histograms too."""
    names = {*_exporters(), *(each.name for each in definitions.ALL)}
    names |= queried_metrics() | backup_metrics()
    names |= {f"{name}_{part}" for name in names for part in _PARTS}
    # Those of other programs are there if a rule asks for them: rules have tests of their own.
    asked = {name for rule in RULES for name in metric_names(rule.expr)}
    return frozenset(names | asked | RECORDED.keys())


def metric_names(query: str) -> set[str]:
    """Return the names of the series that a query in PromQL asks for."""
    return set(_NAME.findall(_OTHER.sub(" ", query))) - _WORDS


def _exporters() -> Iterator[str]:
    for collector in every(settings_of(TAG_LABELS="team,tier")):
        yield from (family.name for family in collector.families)
        yield from (counted.name for counted in collector.counted)
    yield from (family.name for family in self_metrics.COLLECTOR_FAMILIES)
    yield from (family.name for family in self_metrics.PROCESS_FAMILIES)
    yield from (family.name for family in report_schedule.FAMILIES)
    yield from (family.name for family in traffic.FAMILIES)
