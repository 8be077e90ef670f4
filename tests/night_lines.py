"""The log lines of a night, found by its correlation id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nights import BAD_DATA, HANGING, Night, Request, Row, runs, soon

CAUSES = {
    BAD_DATA: ("Flow run failed", "etl.errors.TooManyRejected", "data"),
    HANGING: ("Flow run timed out", "prefect.flow_engine.FlowRunTimeoutError", "timeout"),
}
"""What the last line of a run says: event, error and category. A killed run has none."""

_CATEGORY = "prefect.error.category"


def check_lines(night: Night) -> None:
    """Assert that what a run of the night says has the caller's id and the caller's trace."""
    found = _of_runs(night, night.request)

    assert {(night.request.correlation_id, night.request.trace_id)} == _ids(found)


def check_neighbour(night: Night) -> None:
    """Assert that what the other run says has the ids of whoever asked for that."""
    found = _of_runs(night, night.neighbour)

    assert {(night.neighbour.correlation_id, night.neighbour.trace_id)} == _ids(found)


def check_nothing_else(night: Night) -> None:
    """Assert that by the correlation id nothing is found but the request and the night's runs."""
    mine = [line for line in night.lines() if _by_id(line, night.request)]
    with night.prefect() as client:
        of_night = {run.id for run in runs(client, night.request.run_id)}
    of_runs = {line["flow_run_id"] for line in mine if "flow_run_id" in line}
    of_service = {line["logger"] for line in mine if "flow_run_id" not in line}

    assert of_night == of_runs
    assert {"trigger", "uvicorn.access"} == of_service


def check_causes(night: Night) -> None:
    """Assert that the last line of each run that ended badly says whose failure it is."""
    with night.prefect() as client:
        named = {run.id: run.client for run in runs(client, night.request.run_id)}
    said = {
        named[line["flow_run_id"]]: (line["event"], line["error.type"], line[_CATEGORY])
        for line in night.lines()
        if line["logger"] == "prefect_instrumentation.runs"
        and line.get("flow_run_id") in named
        and named[line["flow_run_id"]]
        and "task_run_id" not in line
    }

    assert CAUSES == said


def check_records(night: Night) -> None:
    """Assert that the collector has passed on each line of the night, with the same ids.

    Not asked is of the killed run, as what it had not sent is lost with its process; and of lines
    without a span, as a process that only prepares a run for Prefect says "Downloading flow code".
    """
    with night.prefect() as client:
        killed = {run.id for run in runs(client, night.request.run_id) if run.was_killed}
    written = _told(night.lines(), night.request, killed)

    assert written == soon(lambda: _told(night.records(), night.request, killed), written)
    assert written


def _told(lines: Sequence[Row], request: Request, but: set[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        (
            line.get("flow_run_id", ""),
            line.get("task_run_id", ""),
            line["span_id"],
            line["logger"],
        )
        for line in lines
        if _by_id(line, request) and line.get("span_id") and line.get("flow_run_id") not in but
    )


def _by_id(line: Row, request: Request) -> bool:
    return bool(line.get("correlation_id") == request.correlation_id)


def _of_runs(night: Night, request: Request) -> Sequence[Row]:
    """Return the lines of a request's runs, each of which has said something."""
    with night.prefect() as client:
        wanted = {run.id for run in runs(client, request.run_id)}
    found = [line for line in night.lines() if line.get("flow_run_id") in wanted]
    assert wanted == {line["flow_run_id"] for line in found}
    return found


def _ids(lines: Sequence[Row]) -> set[tuple[object, object]]:
    return {(line.get("correlation_id"), line.get("trace_id")) for line in lines}
