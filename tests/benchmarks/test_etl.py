"""The table of what the pipeline costs."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.etl import BUDGETS_MIB, WHOLE, Batch, Pipeline, etl_table

MIB = 2**20


def test_table_has_a_column_for_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Each way shows its own rows and memory, as median, least and most of its rounds."""
    ways = [*map(str, BUDGETS_MIB), WHOLE]
    batches = [
        Batch(way, 900 + at, at, seconds, 1.0, 200 * MIB, (300 + at) * MIB)
        for at, way in enumerate(ways, start=1)
        for seconds in (10.0, 20.0, 30.0)
    ]
    table = etl_table(Pipeline(1000, 5 * MIB, batches, (1.0, 2.0)))
    assert table is not None
    Console(width=200).print(table)

    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
    ]
    memory = [f"{value} ({value} to {value})" for value in (301, 302, 303, 304)]
    assert ["rows written", "901", "902", "903", "904"] in rows
    assert ["seconds", *["20.0 (10.0 to 30.0)"] * 4] in rows
    assert ["peak RSS of all of them, MiB", *memory] in rows
