"""The collector: what failed in the window, read once, grouped, bounded; and its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from failures.failed import traceback
from fakes import FakePrefect, after_seconds
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.failure_groups import FailureGroupCollector, FailureGroups
from prefect_exporter.errors import Rejected, Unreachable
from prefect_exporter.failures import window
from prefect_exporter.failures.document import document
from prefect_exporter.moments import HOUR, MINUTE, SECOND, micros
from prefect_exporter.ui_links import UiLinks
from prefect_exporter.wire import FlowRunRecord, StateRecord, ToldLog
from worlds import FLOW, collecting, deployment, deployment_id, poll, prefect_of, put, run_id

RAISED = "Flow run encountered an exception: ValueError: order 7"


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    prefect = prefect_of()
    put(prefect, deployment(1, "nightly"))
    return prefect


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def look(context: Context, previous: FailureGroups | None = None) -> FailureGroups:
    """Poll once."""
    return poll(FailureGroupCollector(context.settings), context, previous)


def fail(
    prefect: FakePrefect,
    number: int,
    seconds: float,
    message: str = RAISED,
    **fields: Any,  # noqa: ANN401  # the row's own fields
) -> None:
    """Let a run fail so long after the first moment."""
    kind, name = fields.pop("state", ("FAILED", "Failed"))
    given: dict[str, Any] = {
        "name": f"run-{number}",
        "flow_id": FLOW,
        "deployment_id": deployment_id(1),
        "run_count": 1,
        "total_run_time": 1.0,
        "state_type": kind,
        "state_name": name,
        "state": StateRecord(kind, name, after_seconds(seconds), message),
        "end_time": after_seconds(seconds),
    }
    put(prefect, FlowRunRecord(id=run_id(number), **(given | fields)))


def say(prefect: FakePrefect, number: int, seconds: float, text: str | None = None) -> None:
    """Let a run have logged its traceback."""
    at = after_seconds(seconds)
    message = traceback() if text is None else text
    prefect.log_rows.append(ToldLog("prefect.flow_runs", 40, message, at, run_id(number)))


def values(state: FailureGroups) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples of each family."""
    return {each.name: dict(each.read(state)) for each in FailureGroupCollector.families}


def test_failures_of_the_window_are_grouped(prefect: FakePrefect, context: Context) -> None:
    """What failed or crashed in the last 24 hours, by what it is; what completed is none."""
    fail(prefect, 1, -60)
    fail(prefect, 2, -120)
    fail(prefect, 3, -90, "no worker", state=("CRASHED", "Crashed"), deployment_id=None)
    fail(prefect, 4, -30, state=("COMPLETED", "Completed"))
    fail(prefect, 5, -25 * 3600)
    say(prefect, 1, -60)

    state = look(context)

    first, second = state.groups
    assert (2, "user_code", "ValueError", "no") == (
        first.count,
        first.signature.category,
        first.signature.type,
        first.signature.pattern,
    )
    assert first.signature.id.startswith("f1-")
    assert {"etl/nightly": 2} == first.flows
    assert (1, "infrastructure", {"etl": 1}) == (
        second.count,
        second.signature.category,
        second.flows,
    )
    assert ["run-1", "run-3", "run-2"] == [each.failed.name for each in state.recent]
    assert RAISED == state.recent[0].failed.message
    assert not state.truncated


def test_metrics_show_groups_by_flow(prefect: FakePrefect, context: Context) -> None:
    """How many, since when, until when; a message is no label."""
    fail(prefect, 1, -60)
    fail(prefect, 2, -120)

    state = look(context)

    (group,) = state.groups
    at = (group.signature.id, "user_code", "etl")
    assert {
        "prefect_failure_group_flow_runs": {at: 2.0},
        "prefect_failure_group_first_seen_timestamp_seconds": {
            at: micros(after_seconds(-120)) / SECOND
        },
        "prefect_failure_group_last_seen_timestamp_seconds": {
            at: micros(after_seconds(-60)) / SECOND
        },
    } == values(state)


def test_series_are_bounded_and_the_rest_is_other(tmp_path: Path, prefect: FakePrefect) -> None:
    """As many as the setting says; what is folded is told, and counted all the same."""
    for number in range(10):
        text = f"Flow run encountered an exception: Error{number % 5}{'x' * number}: no"
        fail(prefect, number, -60 - number, text)
    with collecting(tmp_path, prefect, MAX_FAILURE_GROUPS="3") as context:
        state = look(context)

    counts = values(state)["prefect_failure_group_flow_runs"]
    assert 4 == len(counts) == len(state.groups)
    assert 10.0 == sum(counts.values())
    assert 7.0 == counts["other", "other", "other"]
    assert 7 == state.folded


def test_only_what_is_new_is_read_again(prefect: FakePrefect, context: Context) -> None:
    """A second poll asks for the runs of the last minutes, and for no log that it has."""
    for number in range(1, 4):
        fail(prefect, number, -3600 * number)
        say(prefect, number, -3600 * number)
    first = look(context)
    prefect.asked.clear()
    prefect.now_us += MINUTE
    fail(prefect, 4, 30)
    say(prefect, 4, 30)

    second = look(context, first)

    assert 3 == first.groups[0].count
    assert 4 == second.groups[0].count
    assert 1 == prefect.asked.count("flow_runs/filter")
    assert 1 == prefect.asked.count("logs/filter")
    prefect.asked.clear()
    assert second.groups == look(context, second).groups
    assert 0 == prefect.asked.count("logs/filter")


def test_end_that_is_readable_late_is_found(prefect: FakePrefect, context: Context) -> None:
    """A poll goes back behind the one before: the server's transaction may have been slow."""
    fail(prefect, 1, -20)
    prefect.visible_us[run_id(1)] = prefect.now_us + 30 * SECOND
    state = look(context)
    prefect.now_us += MINUTE

    assert () == state.groups
    assert 1 == look(context, state).groups[0].count


def test_what_is_old_drops_out(prefect: FakePrefect, context: Context) -> None:
    """A day after the last failure there is no group."""
    fail(prefect, 1, -60)
    fail(prefect, 2, -3600)
    state = look(context)
    prefect.now_us += 23 * HOUR + 30 * MINUTE
    half = look(context, state)
    prefect.now_us += HOUR

    assert (2, 1) == (state.groups[0].count, half.groups[0].count)
    assert () == look(context, half).groups


def test_logs_that_come_late_are_read_later(prefect: FakePrefect, context: Context) -> None:
    """A client sends them in batches: a run that ended just now may have none yet."""
    fail(prefect, 1, -1)
    early = look(context)
    prefect.now_us += 30 * SECOND
    say(prefect, 1, -1)
    late = look(context, early)

    assert "m1" == early.groups[0].signature.id[:2]
    assert "f1" == late.groups[0].signature.id[:2]
    assert 1 == late.groups[0].count


def test_crashes_are_not_asked_for_again_and_again(prefect: FakePrefect, context: Context) -> None:
    """They have no traceback, and after a minute none comes."""
    for number in range(100):
        fail(prefect, number, -3600 - number, "Crash.", state=("CRASHED", "Crashed"))
    state = look(context)
    prefect.asked.clear()
    look(context, state)

    assert 0 == prefect.asked.count("logs/filter")


def test_run_that_fails_again_counts_again(prefect: FakePrefect, context: Context) -> None:
    """Each end is one failure, as in the counters."""
    fail(prefect, 1, -60)
    state = look(context)
    prefect.now_us += MINUTE
    fail(prefect, 1, 30)

    assert 2 == look(context, state).groups[0].count


def test_flows_that_are_not_selected_are_left_out(tmp_path: Path, prefect: FakePrefect) -> None:
    """Neither metrics nor the JSON speak of them."""
    fail(prefect, 1, -60)
    with collecting(tmp_path, prefect, FLOWS="other*") as context:
        state = look(context)

    assert ((), ()) == (state.groups, state.recent)


def test_many_failures_are_read_by_pages_that_do_not_shift(
    prefect: FakePrefect, context: Context
) -> None:
    """Also where hundreds end in one microsecond."""
    for number in range(950):
        fail(prefect, number, -60.0 if number < 500 else -60 - number)

    state = look(context)

    assert 950 == sum(each.count for each in state.groups)
    assert not state.truncated
    assert not look(context, state).truncated


def test_more_than_the_budget_of_pages_is_truncated(tmp_path: Path, prefect: FakePrefect) -> None:
    """The newest are there, and it is told until the window has moved on."""
    for number in range(500):
        fail(prefect, number, -60 - number)
    with collecting(tmp_path, prefect, ACTIVE_PAGES="2") as context:
        state = look(context)
        prefect.now_us += MINUTE
        again = look(context, state)
        prefect.now_us += 24 * HOUR

        assert 400 == state.groups[0].count
        assert (True, True) == (state.truncated, again.truncated)
        assert not look(context, again).truncated


def test_memory_is_bounded(
    prefect: FakePrefect, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number the oldest go; and only the newest few keep their messages."""
    monkeypatch.setattr(window, "MOST_FAILURES", 30)
    for number in range(100):
        fail(prefect, number, -3600 - number)
        say(prefect, number, -3600 - number)

    state = look(context)

    assert 30 == state.groups[0].count
    assert state.truncated
    kept = [entry.failed.message for entry in state.window.entries]
    assert [RAISED] * 20 + [""] * 10 == kept


def test_key_that_may_not_read_logs_has_groups_by_message(
    prefect: FakePrefect, context: Context
) -> None:
    """A refusal of the logs alone does not end the poll."""
    fail(prefect, 1, -3600)

    def refuse(route: str) -> None:
        if route == "logs/filter":
            raise Rejected(route, "no", status=403)

    prefect.fail = refuse

    assert "m1" == look(context).groups[0].signature.id[:2]


def test_unreachable_server_keeps_the_last_state(prefect: FakePrefect, context: Context) -> None:
    """The poll fails as a whole: nothing is shown as gone."""
    fail(prefect, 1, -3600)
    prefect.down(Unreachable("flow_runs/filter", "no"))

    with pytest.raises(Unreachable):
        look(context)


def test_row_with_a_huge_or_missing_message_is_bounded(
    prefect: FakePrefect, context: Context
) -> None:
    """A state may say nothing, or a megabyte."""
    fail(prefect, 1, -60, "x" * 1_000_000)
    fail(prefect, 2, -61, state=("FAILED", "Failed"))
    row = prefect.flow_rows[run_id(2)]
    assert isinstance(row, FlowRunRecord)
    put(prefect, FlowRunRecord(**{**as_dict(row), "state": None, "name": "n" * 5000}))

    state = look(context)

    assert [1024, 0] == [len(each.failed.message) for each in state.recent]
    assert all(len(each.failed.name) <= 128 for each in state.recent)


def as_dict(row: FlowRunRecord) -> dict[str, Any]:
    """Return a row's fields."""
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_document_tells_groups_and_failures(prefect: FakePrefect, context: Context) -> None:
    """With pages to look at, trends with their tests, and no secret."""
    text = "Flow run encountered an exception: ValueError: login with password=hunter2 at 7"
    for number in range(4):
        fail(prefect, number, -3600 * 23 - number)
    fail(prefect, 5, -60, text)
    say(prefect, 0, -3600 * 23)
    state = look(context)

    raw = document("prod", state, UiLinks("http://ui"), datetime(2026, 11, 22, tzinfo=UTC))

    found = json.loads(raw)
    first, second = found["groups"]
    assert (1, "prod", "2026-11-22T00:00:00+00:00", False) == (
        found["schema_version"],
        found["target"],
        found["generated"],
        found["truncated"],
    )
    assert re.fullmatch(r"f1-[0-9a-f]{16}", first["id"])
    assert (4, "traceback", 1, first["id"][3:], ["flows.py:load"]) == (
        first["count"],
        first["basis"],
        first["version"],
        first["fingerprint"],
        first["places"],
    )
    assert [{"subject": "etl/nightly", "count": 4}] == first["flows"]
    assert {"direction", "method", "p"} == first["trend"].keys()
    assert 24 == len(first["buckets"])
    assert str(UUID(int=run_id(0).int)) == first["examples"][0]["id"]
    assert f"http://ui/runs/flow-run/{run_id(0)}" == first["examples"][0]["url"]
    assert "login with password=[redacted] at <int>" == second["pattern"]
    assert second["id"] == found["recent"][0]["group"]
    assert b"hunter2" not in raw
