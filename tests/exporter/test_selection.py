"""Patterns: which names pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import after_seconds
from prefect_exporter.collectors.audits import FlowRunAudit, TaskRunAudit
from prefect_exporter.collectors.flow_run_starts import FlowRunStartCollector, start_delay
from prefect_exporter.collectors.flow_runs import FINISHED as FLOW_RUNS
from prefect_exporter.collectors.flow_runs import FlowRunCollector
from prefect_exporter.collectors.task_runs import FINISHED as TASK_RUNS
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.moments import MINUTE
from prefect_exporter.selection import Patterns, Selection, patterns
from prefect_exporter.wire import FlowRun
from worlds import (
    collecting,
    deployment,
    deployment_id,
    ended,
    poll,
    prefect_of,
    put,
    task_run,
    total,
    waiting,
)


@pytest.mark.parametrize(
    ("words", "name", "passes"),
    [
        ([], "anything", True),
        ([], "", True),
        (["etl-*"], "etl-load", True),
        (["etl-*"], "ETL-load", False),
        (["etl-*"], "my-etl-load", False),
        (["etl-*", "report"], "report", True),
        (["!*-test"], "etl-test", False),
        (["!*-test"], "etl", True),
        (["etl-*", "!etl-test-*"], "etl-test-1", False),
        (["etl-*", "!etl-test-*"], "etl-prod-1", True),
        (["a?c", "[xy]z"], "yz", True),
        (["a*"], "a\nb", True),
    ],
)
def test_pattern(words: list[str], name: str, passes: bool) -> None:  # noqa: FBT001 - a table's column
    """A name passes if it is allowed and not denied."""
    assert passes is (name in patterns(words))


@given(st.text(), st.lists(st.text()))
def test_denied_never_passes(name: str, allow: list[str]) -> None:
    """Whatever is allowed, what is denied whole stays out."""
    assert name not in Patterns(tuple(allow), ("*",))


@given(st.lists(st.text(alphabet="ab*?[]!-", max_size=12), max_size=4), st.text(alphabet="ab-"))
def test_any_pattern_is_usable(words: list[str], name: str) -> None:
    """No text is a broken pattern."""
    assert (name in patterns(words)) in (True, False)


def test_what_a_run_lacks_is_not_in_the_way() -> None:
    """A run without deployment and pool passes by its flow alone; one with them needs all."""
    selection = Selection(Patterns(("etl",)), Patterns((), ("test",)), Patterns(("k8s",)))

    assert selection.takes("etl")
    assert selection.takes("", "")
    assert selection.takes("etl", "prod", "k8s")
    assert not selection.takes("etl", "test", "k8s")
    assert not selection.takes("etl", "prod", "local")
    assert not selection.takes("other")


def test_what_is_selected_later_counts_nothing_old(tmp_path: Path) -> None:
    """Ends that were passed over stay so when patterns are widened, also where an audit reads."""
    prefect = prefect_of()
    with collecting(tmp_path, prefect, FLOWS="!*") as context:
        poll(FlowRunCollector(context.settings), context)
        poll(TaskRunCollector(context.settings), context)
        put(prefect, ended(1, 10), ended(2, 590), task_run(1, 10), task_run(2, 590))
        prefect.now_us += 10 * MINUTE
        poll(FlowRunCollector(context.settings), context)
        poll(TaskRunCollector(context.settings), context)
    put(prefect, ended(3, 20), task_run(3, 20))
    with collecting(tmp_path, prefect) as context:
        poll(FlowRunCollector(context.settings), context)
        poll(TaskRunCollector(context.settings), context)
        flows = poll(FlowRunAudit(context.settings), context).corrections
        tasks = poll(TaskRunAudit(context.settings), context).corrections
        counted = total(context, FLOW_RUNS.name), total(context, TASK_RUNS.name)

    assert ((1.0, 1.0), (1, 1)) == (counted, (flows, tasks))


def test_starts_that_were_passed_over_are_observed_never(tmp_path: Path) -> None:
    """Widened patterns observe no start of the minutes before; a start that is late counts."""

    def started(number: int, seconds: float) -> FlowRun:
        at = after_seconds(seconds)
        given = {"start_time": at, "expected_start_time": at, "deployment_id": deployment_id(1)}
        return waiting(number, "RUNNING", "Running", **given)

    prefect = prefect_of()
    put(prefect, deployment(1, "daily"))
    with collecting(tmp_path, prefect, FLOWS="!*") as context:
        poll(FlowRunStartCollector(context.settings), context)
        put(prefect, started(1, 10))
        prefect.now_us += MINUTE
        poll(FlowRunStartCollector(context.settings), context)
        name = start_delay(context.settings).name
    put(prefect, started(2, 20))
    with collecting(tmp_path, prefect) as context:
        poll(FlowRunStartCollector(context.settings), context)
        observed = [
            sum(each.counts) for each in context.store.ledger.tally.histograms[name].values()
        ]

    assert [1] == observed
