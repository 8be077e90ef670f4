"""The same night as in tests/e2e, in the Compose stack; Jaeger is there in the full form alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import night_alerts
import night_counts
import night_lines
import night_story
import night_traces
from stack.compose import Stack
from stack.night import StackNight, theatre

pytestmark = pytest.mark.stack


@pytest.fixture(name="night", scope="module")
def _night(whole: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackNight]:
    """A night that is over."""
    with theatre(whole, tmp_path_factory.mktemp("night")) as stage:
        yield StackNight(stage, *night_story.play(stage))


def test_trace_has_each_run_below_its_cause(night: StackNight, *, full: bool) -> None:
    """Jaeger has the night as one trace, the killed run's span by the exporter among it."""
    if not full:
        pytest.skip("Jaeger runs in the full form")
    night_traces.check_trace(night)
    night_traces.check_tasks(night)
    night_traces.check_parents(night)
    night_traces.check_correlation(night)


def test_lines_have_the_ids_of_who_has_asked(night: StackNight) -> None:
    """Containers of service and workers say of each line which request it belongs to, and why."""
    night_lines.check_lines(night)
    night_lines.check_neighbour(night)
    night_lines.check_nothing_else(night)
    night_lines.check_causes(night)


def test_counters_are_the_truth(night: StackNight) -> None:
    """Prometheus has as many ends of flow runs and of task runs as Prefect."""
    night_counts.check_flow_runs(night)
    night_counts.check_task_runs(night)


def test_exemplar_names_the_trace(night: StackNight, *, full: bool) -> None:
    """The point of the failed run's duration opens the night's trace."""
    if not full:
        pytest.skip("Jaeger runs in the full form")
    night_counts.check_exemplar(night)


def test_each_alert_is_told_once_to_its_team(night: StackNight) -> None:
    """Each team's webhook hears of what is its own, once."""
    night_alerts.check_messages(night)


def test_report_names_the_three_causes(night: StackNight) -> None:
    """So does the exporter's container, when it is asked for a report."""
    night_counts.check_report(night)


def test_boards_show_the_failed_client(night: StackNight) -> None:
    """Overview, flow, errors and pipelines have data of it."""
    night_alerts.check_boards(night, without=night_alerts.BORN)
