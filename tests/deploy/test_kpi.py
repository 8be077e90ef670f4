"""Indicators of a user's own: what the file may say, and the rules that come of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kpi import Kind, load
from kpi.__main__ import main
from monitoring import tool
from sources import BadSource

_KPI = """
kpis:
  - name: orders
    title: 'Orders {{ $labels }} "quoted"'
    description: Orders that came {{ in }}.
    unit: orders
    kind: counter
    metric: shop_orders_total{shop="a"}
    by: [shop]
    target: {at_least: 10, over: 1h}
    team: shop
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "kpis.yml"
    path.write_text(text, encoding="utf-8")
    return path


def _generate(folder: Path, text: str, *options: str) -> int:
    return main([f"--kpis={_file(folder, text)}", f"--rules={folder / 'rules'}", *options])


def test_committed_rules_are_what_the_committed_file_gives() -> None:
    """Nobody has edited a generated rule by hand, or the file without generating."""
    assert main(["--check"]) == 0


def test_an_indicator_is_read(tmp_path: Path) -> None:
    """Bounds may be written as shares and durations; the severity is a warning by default."""
    text = _KPI.replace("at_least: 10", "at_most: 5%")
    (kpi,) = load(_file(tmp_path, text))

    assert (kpi.kind, kpi.bound, kpi.target) == (Kind.COUNTER, "at_most", 0.05)
    assert (kpi.record, kpi.window, kpi.severity) == ("kpi:orders", "1h", "warning")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: orders", "name: my-orders", "kpis[0].name: 'my-orders' is no name: use letters"),
        (
            "at_least: 10",
            "at_least: many",
            "kpis[0].target.at_least: 'many' is no number: write it",
        ),
        ("at_least: 10", "at_least: 1, at_most: 2", "kpis[0].target: needs one bound"),
        ("over: 1h", "over: 1 hour", "kpis[0].target.over: '1 hour' is no duration: write it as"),
        ("over: 1h", "over: 1s", "kpis[0].target.over: '1s' is too short for a window"),
        ("kind: counter", "kind: ratio", "kpis[0]: needs `of:`, the counter of the whole"),
        ('{shop="a"}', "[5m]", "kpis[0]: 'shop_orders_total[5m]' is no counter: write it as"),
        ("[shop]", "[team]", "kpis[0].by[0]: 'team' is a label that the alert has itself"),
        ("team: shop", "tema: shop", "kpis[0].tema: is no setting: remove it"),
    ],
    ids=["name", "number", "bounds", "duration", "short", "whole", "selector", "label", "key"],
)
def test_a_bad_value_is_told_in_one_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """Whoever wrote the file learns the place, the problem and what to write instead."""
    path = _file(tmp_path, _KPI.replace(old, new))

    with pytest.raises(BadSource) as error:
        load(path)
    (line,) = [each for each in str(error.value).splitlines() if problem in each]
    assert line.startswith(f"{path}: ")


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    """They would write the same series."""
    text = _KPI + _KPI.removeprefix("\nkpis:\n")

    with pytest.raises(BadSource, match="kpis: 'orders' is the name of two: rename one"):
        load(_file(tmp_path, text))


@pytest.mark.parametrize("kind", list(Kind))
def test_rules_of_every_kind_are_valid(tmp_path: Path, kind: Kind) -> None:
    """Prometheus reads what is generated, whatever a title or a description holds."""
    text = _KPI.replace("kind: counter", f"kind: {kind}")
    if kind is Kind.RATIO:
        text += "    of: shop_requests_total\n"
    assert _generate(tmp_path, text) == 0

    rules = sorted((tmp_path / "rules").rglob("*.yml"))
    command = [str(each) for each in (tool("promtool"), "check", "rules", *rules)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_indicators_leave_no_alerts(tmp_path: Path) -> None:
    """Whoever has none removes the examples, and nothing of them remains."""
    _generate(tmp_path, _KPI)
    _generate(tmp_path, "kpis: []")

    assert [] == list((tmp_path / "rules" / "kpi").glob("*.yml"))
    assert _generate(tmp_path, "kpis: []", "--check") == 0


def test_check_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that was changed without generating is named, with the command that mends it."""
    _generate(tmp_path, _KPI)
    capsys.readouterr()
    code = _generate(tmp_path, _KPI.replace("at_least: 10", "at_least: 11"), "--check")

    told = capsys.readouterr().err
    assert code == 1
    assert told.endswith(
        "kpi/PrefectKpiMissed.yml: differs from its source; mend it with: make generate\n"
    )
