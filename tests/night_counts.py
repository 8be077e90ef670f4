"""The exporter's counters, exemplars and report beside what Prefect has."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nights import FINAL, FLOWS, Night, Row, Run, TaskRun, runs, soon, task_runs

_NUMBERED = re.compile(r"(\S+) \([\d,]+\)")
"""A flow in a list of flows that says how many failures are of each."""

_OUTCOMES = {"TimedOut": "timed_out", "Cached": "cached"}

_MINE = f'flow=~"{"|".join(FLOWS)}"'

CAUSES = {
    ("client-batch/retail", "etl.errors.TooManyRejected"),
    ("client-batch/retail", "data"),
    ("client-batch/wholesale", "timeout"),
    ("client-batch/logistics", "infrastructure"),
}
"""What the report is to name of each deployment: its error's class, or its category, or both."""


def check_flow_runs(night: Night) -> None:
    """Assert that the counters of flow runs are what Prefect has, by deployment and outcome."""
    with night.prefect() as client:
        known = Counter(
            (run.flow, run.deployment, _outcome(run))
            for run in runs(client)
            if run.state_type in FINAL
        )
    series = f"prefect_flow_runs_finished_total{{{_MINE}}}"
    by = ("flow", "deployment", "outcome")

    assert known == soon(lambda: _counted(night, series, by), known)
    assert {"completed", "failed", "timed_out", "crashed"} <= {outcome for _, _, outcome in known}


def check_task_runs(night: Night) -> None:
    """Assert the same of task runs, by task and outcome."""
    by = ("flow", "task", "outcome")
    series = f"prefect_task_runs_finished_total{{{_MINE}}}"
    with night.prefect() as client:
        known, seen = soon(
            lambda: (
                _task_ends(task_runs(client, runs(client))),
                _counted(night, series, by),
            ),
            lambda both: both[0] == both[1],
        )

    assert known == seen
    assert known


def _task_ends(found: Sequence[TaskRun]) -> Counter[tuple[str, ...]]:
    return Counter(
        (each.flow, each.task, _outcome(each)) for each in found if each.state_type in FINAL
    )


def _outcome(run: Run | TaskRun) -> str:
    return _OUTCOMES.get(run.state, run.state_type.lower())


def _counted(night: Night, series: str, by: tuple[str, ...]) -> Counter[tuple[str, ...]]:
    rows = query(night, f"sum by ({', '.join(by)}) ({series}) > 0")
    return Counter(
        {tuple(row["metric"].get(name, "") for name in by): int(row["value"][1]) for row in rows}
    )


def query(night: Night, promql: str) -> Sequence[Row]:
    """Return what Prometheus says now."""
    rows: Sequence[Row] = night.prometheus()("/api/v1/query", {"query": promql})["data"]["result"]
    return rows


def check_exemplar(night: Night) -> None:
    """Assert that a point of the failed run's duration opens the night's trace, at its span."""
    series = (
        'prefect_flow_run_duration_seconds_bucket{flow="client-batch", deployment="retail",'
        ' outcome="failure"}'
    )
    failed = [("flow client-batch", "Failed")]

    assert failed == soon(lambda: _opened(night, series), failed)


def _opened(night: Night, series: str) -> Sequence[tuple[str, str] | None]:
    """Return the name and the state of each span that the exemplars of a series lead to."""
    named = {span.span_id: (span.name, span["prefect.state.name"]) for span in night.spans()}
    return [named.get(span_id) for span_id in _exemplars(night, series)]


def _exemplars(night: Night, series: str) -> Sequence[str]:
    """Return the span ids of the exemplars that are of the night's trace."""
    now = time.time()
    asked = {"query": series, "start": f"{now - 3600}", "end": f"{now}"}
    found = night.prometheus()("/api/v1/query_exemplars", asked)["data"]
    labels = [each["labels"] for one in found for each in one["exemplars"]]
    of_night = [each for each in labels if each["trace_id"] == night.request.trace_id]
    return sorted({each["span_id"] for each in of_night})


def check_report(night: Night) -> None:
    """Assert that the report names the three causes, each with the deployment that it befell."""
    assert set() == soon(lambda: CAUSES - _causes(night.report()), set())


def _causes(report: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - JSON by its schema
    (section,) = (each for each in report["sections"] if each["id"] == "failures")
    (table,) = (each for each in section["tables"] if each["id"] == "groups-of-failures")
    titles = [column["title"] for column in table["columns"]]
    rows: Sequence[Mapping[str, Any]] = [
        dict(zip(titles, row["cells"], strict=True)) for row in table["rows"]
    ]
    return {
        (flow, cause)
        for row in rows
        for flow in _NUMBERED.findall(row["Flows"])
        for cause in (row["Error"], row["Category"])
    }
