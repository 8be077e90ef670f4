"""A night from the request to the pager: what each part says of the same three failures.

A request starts `nightly-orders/nightly`. One client has too many bad rows, for one the service of
rates hangs until its batch times out, and of one the worker is killed with its run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import night_alerts
import night_counts
import night_lines
import night_story
import night_traces
from collector.parts import built
from e2e.lake import check_lake
from e2e.live import LiveNight, LiveStage
from e2e.scene import scene

# The fixture's time, a night, counts for the first test that asks for it.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(name="night", scope="module")
def _night() -> Iterator[LiveNight]:
    """A night that is over, and whose traces are still arriving."""
    otelcol: Path = built()
    with scene(otelcol, frozenset(name for _, name, _ in night_alerts.ALERTS)) as parts:
        yield LiveNight(parts, *night_story.play(LiveStage(parts)))


def test_trace_has_each_run_below_its_cause(night: LiveNight) -> None:
    """From the caller's span to the second start of the killed run it is one trace."""
    night_traces.check_trace(night)


def test_trace_has_each_task_as_it_ended(night: LiveNight) -> None:
    """Each task run that Prefect knows of is a span with the same state, within its flow run."""
    night_traces.check_tasks(night)


def test_no_span_hangs_in_the_air(night: LiveNight) -> None:
    """Each parent is in the trace, but for the caller's own."""
    night_traces.check_parents(night)


def test_spans_have_the_correlation_id(night: LiveNight) -> None:
    """The id that the caller sent is on the request's span and on each run's."""
    night_traces.check_correlation(night)


def test_lines_of_the_night_have_its_ids(night: LiveNight) -> None:
    """Each line of each run, whichever worker wrote it, has the caller's id and trace."""
    night_lines.check_lines(night)


def test_lines_of_another_request_have_its_own_ids(night: LiveNight) -> None:
    """A run beside the night, on the same worker, keeps to its own."""
    night_lines.check_neighbour(night)


def test_correlation_id_finds_nothing_else(night: LiveNight) -> None:
    """Whoever looks for the id finds the service's lines of the request and all of its runs."""
    night_lines.check_nothing_else(night)


def test_last_line_of_a_failed_run_says_why(night: LiveNight) -> None:
    """Bad data and a timeout are told apart by error and category."""
    night_lines.check_causes(night)


def test_collector_passes_on_each_line(night: LiveNight) -> None:
    """What was written to standard output has arrived behind the collector too, once."""
    night_lines.check_records(night)


def test_counters_of_flow_runs_are_the_truth(night: LiveNight) -> None:
    """Prometheus has as many ends of each kind as Prefect."""
    night_counts.check_flow_runs(night)


def test_counters_of_task_runs_are_the_truth(night: LiveNight) -> None:
    """The same holds for each task."""
    night_counts.check_task_runs(night)


def test_exemplar_of_the_failed_run_opens_its_trace(night: LiveNight) -> None:
    """The point of its duration names the span that it has in the night's trace."""
    night_counts.check_exemplar(night)


def test_each_alert_is_told_once_to_its_team(night: LiveNight) -> None:
    """Every team hears of what is its own, nobody hears of anything twice, or of anything else."""
    night_alerts.check_messages(night)


def test_no_other_alert_is_on_its_way(night: LiveNight) -> None:
    """What concerns runs and pools either fires and was told, or does not wait to fire."""
    night_alerts.check_nothing_waits(night)


def test_report_names_the_three_causes(night: LiveNight) -> None:
    """Too many rejected rows, a timeout and a killed process, each with its deployment."""
    night_counts.check_report(night)


def test_boards_show_the_failed_client(night: LiveNight) -> None:
    """Overview, flow, errors and pipelines have data of it, and each query is understood."""
    night_alerts.check_boards(night)


def test_no_row_is_lost_or_doubled(night: LiveNight) -> None:
    """Each order was loaded or rejected once; those of the client that timed out still wait."""
    check_lake(night)
