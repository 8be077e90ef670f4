"""docs/meters.md and the code: the same metrics, limits and examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metered import global_reader, read
from prefect_instrumentation._meters import gauges, public
from prefect_instrumentation._meters.definitions import ALL
from prefect_instrumentation._meters.labels import (
    FEWER_VALUES,
    MAX_LABELS,
    MAX_LENGTH,
    MAX_VALUES,
    OTHER,
)
from prefect_instrumentation._settings import PUSHGATEWAY

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "meters.md").read_text()
COLUMNS = ["Metric", "Type", "Unit", "Labels", "Meaning", "Stability"]
SUFFIXES = {"s": "_seconds", "By": "_bytes"}


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows() -> list[list[str]]:
    """Return the lines of the table of metrics, without its head."""
    return [cells(line) for line in PAGE.splitlines() if line.startswith("| `prefect_sdk_")]


def section(title: str) -> str:
    """Return what stands below a heading."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(text)


def blocks(title: str) -> list[str]:
    """Return a section's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)


def test_page_and_code_have_the_same_metrics() -> None:
    """Each metric stands on the page with its type, unit and labels, and no other does."""
    page = [
        (name.strip("`"), kind, unit.strip("`"), tuple(re.findall(r"`([^`]+)`", labels)))
        for name, kind, unit, labels, _meaning, _stability in rows()
    ]

    assert [(each.name, each.kind, each.unit, each.labels) for each in ALL] == page


def test_table_is_whole() -> None:
    """Each row says what its number means, and how stable it is."""
    (head,) = [cells(line) for line in PAGE.splitlines() if line.startswith("| Metric")]

    assert COLUMNS == head
    assert all(row[4].endswith(".") for row in rows())
    assert {row[5] for row in rows()} <= {"STABLE", "EXPERIMENTAL"}


def test_names_tell_their_unit_and_type() -> None:
    """Prometheus' own suffixes are there already, so that nobody adds them a second time."""
    for each in ALL:
        base = each.name.removesuffix("_total")

        assert (each.kind == "counter") == (base != each.name)
        assert base.endswith(SUFFIXES.get(each.unit, ""))
        assert each.unit in SUFFIXES or re.fullmatch(r"\{[a-z]+\}", each.unit)
        assert bool(each.buckets) == (each.kind == "histogram")


def test_every_metric_that_is_named_exists() -> None:
    """No page's text or query speaks of a metric that is not in the table."""
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    named = set(re.findall(r"\bprefect_sdk_[a-z_]+[a-z]\b", pages))
    names = {each.name for each in ALL}

    assert set() == {re.sub("_(bucket|sum|count)$", "", name) for name in named} - names


def test_limits_are_those_of_the_code() -> None:
    """Numbers on the page are the code's."""
    bounded, probes = section("Labels are bounded"), section("Circuit breakers and dead letters")

    assert f"takes {MAX_VALUES} values in a process" in bounded
    assert f"`fingerprint` {FEWER_VALUES['fingerprint']}; what comes later is `{OTHER}`" in bounded
    assert f"takes {MAX_LABELS} labels" in bounded
    assert f"a value {MAX_LENGTH} characters" in bounded
    assert f"have {gauges.PATIENCE} s together" in probes
    assert f"must not begin with `{public.RESERVED}`" in section("Your own")
    assert PUSHGATEWAY in section("Without a collector: a Pushgateway")


def test_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page shows of a user's own code records what it says."""
    monkeypatch.setattr(gauges, "PATIENCE", 30.0)  # a busy machine's threads answer late
    reader = global_reader()
    reader.get_metrics_data()
    scope: dict[str, object] = {"__name__": "page"}
    source = [*blocks("Your own"), *blocks("Circuit breakers and dead letters")]
    exec("\n".join(source), scope)  # noqa: S102 - our own page
    load, stop = scope["load"], scope["stop"]
    assert callable(load)
    assert callable(stop)
    load([3, 1, 2], "berlin")
    found = {(p.metric, *p.labels.values()): p.value for p in read(reader)}
    stop()
    gauges.dead_letters.probes.pop("orders")

    assert 3 == found["shop_orders_total", "berlin"]
    assert ("shop_load_seconds", "orders", "success") in found
    assert ("prefect_sdk_function_duration_seconds", "page.transform", "success") in found
    assert 1 == found["prefect_sdk_circuit_breaker_state", "bank", "half_open"]
    assert 3 == found["prefect_sdk_dead_letters", "orders"]
