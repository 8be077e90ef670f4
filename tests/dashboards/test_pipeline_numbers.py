"""The board of pipelines counts what pipelines told, also where they lived for seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from board_numbers import asked, owner, shows

UID = "prefect-pipelines"
ROWS = 'etl_rows_total{client="acme", service_name="a"'
RETAIL = 'flow="client-batch", deployment="retail"'
IO = f'prefect_sdk_io_records_total{{{RETAIL}, task="load", source="s", destination="d"}}'


def rows(**outcomes: str) -> dict[str, str]:
    """Return the series of one client's rows."""
    return {f'{ROWS}, outcome="{outcome}"}}': values for outcome, values in outcomes.items()}


@pytest.mark.parametrize(
    ("values", "loaded"),
    [
        ("_x20 900x20", 900),
        ("0x20 900x20", 900),
        ("0+10x40", 400),
        # Scrapes were missed: what was counted before is no news.
        ("0 900x18 stale _x2 900x18", 900),
        # The collector began anew.
        ("0 900x18 50x20", 950),
    ],
    ids=["born with all", "at once", "steadily", "over a gap", "over a restart"],
)
def test_bars_add_up_to_the_rows(values: str, loaded: int, tmp_path: Path) -> None:
    """The bars of ten minutes add up to what was loaded in them, each row once."""
    bars = asked(UID, "Rows by outcome")

    added = f"sum_over_time(({bars})[10m:1m])"

    shows(tmp_path, added, rows(accepted=values), [f'{{outcome="accepted"}} {loaded}'])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"accepted": "900x40", "rejected": "100x40", "replayed": "500x40"}, ["{} 0.1"]),
        ({"accepted": "900x40"}, ["{} 0"]),
        ({"rejected": "7x40"}, ["{} 1"]),
        ({"accepted": "0x40", "rejected": "0x40"}, []),
        ({}, []),
    ],
    ids=["some", "none rejected", "all", "no rows", "nothing told"],
)
def test_share_is_of_rows_that_were_judged(
    outcomes: Mapping[str, str], expected: list[str], tmp_path: Path
) -> None:
    """Replayed rows were judged before; no rows at all are no share, neither 0 nor 1."""
    recorded = 'client_outcome:etl_rows:increase1h{client="acme"'
    series = {f'{recorded}, outcome="{each}"}}': values for each, values in outcomes.items()}

    shows(tmp_path, asked(UID, "Rejected, last hour"), series, expected)


def test_one_queue_is_counted_once(tmp_path: Path) -> None:
    """What two services say of one queue is no twice as many letters."""
    series = {
        f'prefect_sdk_dead_letters{{queue="{queue}", service_name="{service}"}}': f"{depth}x40"
        for queue, service, depth in (("a", "x", 5), ("a", "y", 4), ("b", "x", 2))
    }

    shows(tmp_path, asked(UID, "Dead letters"), series, ["{} 7"])
    shows(tmp_path, asked(UID, "Dead letters", queue="b"), series, ["{} 2"])


@pytest.mark.parametrize(
    ("state", "number"), [("closed", 0), ("half_open", 1), ("open", 2)], ids=str
)
def test_each_state_of_a_breaker_has_its_band(state: str, number: int, tmp_path: Path) -> None:
    """The number is what the timeline has a word and a colour for."""
    series = {
        f'prefect_sdk_circuit_breaker_state{{breaker="b", service_name="a", state="{each}"}}': (
            f"{int(each == state)}x40"
        )
        for each in ("closed", "half_open", "open")
    }
    expected = [f'{{breaker="b", service_name="a"}} {number}']

    shows(tmp_path, asked(UID, "Circuit breakers"), series, expected)
    shows(tmp_path, asked(UID, "Breakers that are not closed"), series, [f"{{}} {min(number, 1)}"])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"recovered": "0x9 3x31", "failed": "0x9 1x31"}, ["{} 0.75"]),
        ({"recovered": "0x40", "failed": "0x9 2x31"}, ["{} 0"]),
        ({"failed": "_x9 2x31"}, ["{} 0"]),
        ({"recovered": "4x40", "failed": "1x40"}, []),
    ],
    ids=["some", "none", "none ever", "long ago"],
)
def test_recoveries_are_those_of_the_range(
    outcomes: Mapping[str, str], expected: list[str], tmp_path: Path
) -> None:
    """The share is of attempts in the chosen time; without any there is none."""
    series = {
        f'etl_recoveries_total{{step="load", outcome="{outcome}"}}': values
        for outcome, values in outcomes.items()
    }

    shows(tmp_path, asked(UID, "Recoveries that succeeded"), series, expected)


@pytest.mark.parametrize(("team", "moved"), [(".*", 1), ("shop", 1), ("bank", 0)])
def test_steps_are_of_the_chosen_team(team: str, moved: int, tmp_path: Path) -> None:
    """What flows measured knows no team; the owner of their deployment does."""
    series = {
        **owner(f'target="default", {RETAIL}', team="shop"),
        **owner('target="default", flow="other", deployment="o"', team="bank"),
        IO: "_x9 250x31",
    }
    expected = [f'{{{RETAIL}, task="load"}} 250'] * moved

    shows(tmp_path, asked(UID, "Steps", team=team), series, expected)
