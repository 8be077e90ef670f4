"""The arithmetic of docs/scaling.md: its table is the formula's, and the formula adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.sizing import EXAMPLES, FLEETS, Workload, estimate, table

DOCS = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
SMALL, MEDIUM = EXAMPLES[:2]


@pytest.mark.parametrize("loads", [EXAMPLES, FLEETS], ids=["examples", "fleets"])
def test_documented_table_is_the_formulas(loads: Sequence[Workload]) -> None:
    """The tables in the documentation are what the formula gives, to the last digit."""
    assert table(loads) in DOCS.read_text()


def test_targets_add_up() -> None:
    """Twenty targets ask, and are asked, twenty times what one does; a process is paid once."""
    one, twenty = estimate(SMALL), estimate(replace(SMALL, targets=20))

    assert pytest.approx(20 * one.requests) == twenty.requests
    assert pytest.approx(20 * one.ledger_bytes) == twenty.ledger_bytes
    assert twenty.memory_mib < 20 * one.memory_mib


@pytest.mark.parametrize("load", [*EXAMPLES, *FLEETS], ids=lambda load: load.name)
def test_longer_intervals_cost_less(load: Workload) -> None:
    """Polling half as often asks for fewer pages and rows, and changes no series."""
    slow = estimate(replace(load, poll_seconds=2 * load.poll_seconds))

    assert slow.requests < estimate(load).requests
    assert slow.rows < estimate(load).rows
    assert slow.series == estimate(load).series


def test_a_pool_of_cloud_requests_is_kept() -> None:
    """The settings that the documentation gives for 20 workspaces fit 400 requests a minute."""
    defaults, slowed = EXAMPLES[-2:]

    assert estimate(defaults).requests > 400
    assert estimate(slowed).requests < 400


def test_measured_sizes_are_met() -> None:
    """What the benchmarks measured comes out: 56,286 series, and six million ends a day."""
    medium = estimate(MEDIUM)

    assert pytest.approx(303e6, rel=0.05) == medium.ledger_bytes
    assert pytest.approx(7.239e6 / 56_286, rel=0.01) == medium.text_bytes / medium.series
    assert pytest.approx(398e3 / 56_286, rel=0.02) == medium.gzip_bytes / medium.series
