"""Asks what a panel asks of made-up series, by promtool."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

import dashboards
from dashboards.written import as_json
from pictures.boards import queries

OWNER = "target_flow_deployment:prefect_deployment_info:owner"
# Of a graph with a point a minute, asked of a Prometheus that scrapes every 15 s.
MACROS = {
    "$__interval_ms": "60000",
    "$__rate_interval": "75s",
    "$__interval": "1m",
    "$__range": "10m",
}


def asked(uid: str, title: str, *, number: int = 0, **chosen: str) -> str:
    """Return what a panel asks, with All for what is not chosen.

    Args:
        uid: The board.
        title: The panel.
        number: Which of its queries.
        chosen: Values of variables, as regular expressions.
    """
    (board,) = (board for board in dashboards.all_boards() if board.uid == uid)
    written = queries(json.loads(as_json(board)))
    expr = [query.text for query in written if query.panel == title][number]
    for macro, value in MACROS.items():
        expr = expr.replace(macro, value)
    return re.sub(r"\$(\w+)", lambda name: chosen.get(name[1], ".*"), expr)


def shows(folder: Path, expr: str, series: Mapping[str, str], expected: Sequence[str]) -> None:
    """Check with promtool what *expr* gives after ten minutes.

    Args:
        folder: Where to put the test.
        expr: PromQL.
        series: Values of each series, one every 15 s, in promtool's words.
        expected: What must come out, such as `{outcome="failed"} 3`.
    """
    samples = [dict(zip(("labels", "value"), _split(each), strict=True)) for each in expected]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expr, "eval_time": "10m", "exp_samples": samples}],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    command = ["promtool", "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _split(sample: str) -> tuple[str, float]:
    labels, value = sample.rsplit(" ", 1)
    return labels, float(value)


def owner(labels: str, *, team: str = "") -> dict[str, str]:
    """Return the series of a deployment's owner."""
    of_team = f', team="{team}"' if team else ""
    return {f"{OWNER}{{{labels}{of_team}}}": "1x40"}
