"""What a report reads of a real server: all of it, once, and on from wherever it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from demo.prefect_server import PrefectServer
from fakes import Crash
from prefect_exporter.errors import Rejected, Unreachable
from prefect_exporter.failures.model import Basis
from prefect_exporter.report import failed
from prefect_exporter.report.catalog import load
from prefect_exporter.report.question import Question
from prefect_exporter.report.reading.pieces import AT_ONCE, Limits
from prefect_exporter.report.reading.reader import notes
from prefect_exporter.report.store import Store
from prefect_exporter.report.unread import unread
from prefect_exporter.report.workspace import Workspace
from report.planting import Planter, still_server
from report.reading_scene import (
    Passing,
    Planted,
    answered,
    content,
    ids,
    plant,
    question,
    read_all,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Scene:
    """A server, what was planted in it, and the question about it."""

    server: PrefectServer
    planted: Planted
    question: Question
    passing: Passing


@pytest.fixture(scope="module", name="scene")
def _scene() -> Iterator[Scene]:
    with still_server() as server:
        with Planter(server) as planter:
            planted = plant(planter)
        yield Scene(server, planted, question(server.api_url, planter), Passing())


def again(scene: Scene, **changes: Any) -> Passing:  # noqa: ANN401  # fields of Passing
    """Return a transport that knows the answers which came before."""
    return Passing(known=scene.passing.known, **changes)


def narrow(scene: Scene, **changes: Any) -> Question:  # noqa: ANN401  # fields of Question
    """Return the question with some of it changed."""
    fields = {name: getattr(scene.question, name) for name in Question.__dataclass_fields__}
    return Question(**(fields | changes))


def test_everything_is_read(scene: Scene) -> None:
    """Both periods' runs, what has not ended, tasks of the period, logs and the catalogue."""
    with Store(":memory:") as store:
        read_all(store, scene.question, scene.passing)
        catalog = load(store)

        assert ids(store) == scene.planted.ended | scene.planted.before | scene.planted.unended
        assert ids(store, "task_runs", "child_flow_run_id = x''") == scene.planted.tasks
        assert len(catalog.flows) == 4
        assert len(catalog.deployments) == 5
        assert list(catalog.work_pools) == ["pool"]
        assert [each.name for each in catalog.workers] == ["worker"]
        assert [each.tag for each in catalog.tag_limits] == ["db"]
        assert catalog.server.version is not None
        assert notes(store) == ()
        assert store.database.execute("SELECT count(*) FROM logs").fetchone()[0] > 0


def test_parents_of_subflows_are_known(scene: Scene) -> None:
    """Each subflow of the period has the task run that stands for it, and so its parent."""
    query = (
        "SELECT count(*), count(t.id) FROM flow_runs r LEFT JOIN task_runs t"
        " ON t.id = r.parent_task_run_id AND t.child_flow_run_id = r.id"
        " WHERE r.parent_task_run_id != x'' AND r.ended_us >= ?"
    )
    with Store(":memory:") as store:
        # None of the task runs is read otherwise.
        read_all(store, scene.question, again(scene), limits=Limits(task_runs=0))
        since_us = scene.question.period.since_us
        subflows, known = store.database.execute(query, (since_us,)).fetchone()

        assert subflows == known > 0


def test_more_logs_are_read_where_tracebacks_differ(scene: Scene) -> None:
    """Of failures that look alike all are told apart once two of them are not the same."""
    query = "SELECT DISTINCT flow_run_id FROM logs WHERE message LIKE '%Traceback%'"
    with Store(":memory:") as store:
        read_all(store, scene.question, again(scene))
        read = {UUID(bytes=each) for (each,) in store.database.execute(query)}
        groups = failed.groups(Workspace(store, scene.question), scene.question.period)

        assert scene.planted.unlike <= read
        assert 0 < len(scene.planted.alike & read) < 30
        by_traceback = [each for each in groups if each.signature.basis is Basis.TRACEBACK]
        assert [15, 15, 30] == sorted(each.count for each in by_traceback)


def test_only_the_period_is_read_where_nothing_is_compared(scene: Scene) -> None:
    """Without a comparison no run of the period before is there."""
    with Store(":memory:") as store:
        read_all(store, narrow(scene, compare=False), again(scene))

        assert ids(store) == scene.planted.ended | scene.planted.unended


@pytest.mark.parametrize("page_size", [7, 50])
def test_small_pages_read_the_same(scene: Scene, page_size: int) -> None:
    """Rows that share one time are each read once, however many fit on a page."""
    with Store(":memory:") as whole, Store(":memory:") as paged:
        read_all(whole, scene.question, again(scene))
        read_all(paged, scene.question, again(scene), page_size=page_size)

        assert content(whole) == content(paged)


def test_report_is_narrowed_to_a_flow(scene: Scene) -> None:
    """Of other flows no run is read, ended or not."""
    with Store(":memory:") as store:
        read_all(store, narrow(scene, flows=("flow-0",)), again(scene))

        assert ids(store) == scene.planted.of_first_flow


def test_report_is_narrowed_to_a_tag(scene: Scene) -> None:
    """A tag counts where it stands on the run, on its deployment or on its flow."""
    with Store(":memory:") as store:
        read_all(store, narrow(scene, tags=("gold",)), again(scene))

        assert ids(store) == scene.planted.tagged


def test_flow_and_tag_narrow_together(scene: Scene) -> None:
    """With both, a run must be of the flow and have the tag."""
    with Store(":memory:") as store:
        read_all(store, narrow(scene, tags=("gold",), flows=("flow-0",)), again(scene))

        assert ids(store) == scene.planted.tagged & scene.planted.of_first_flow


def test_task_runs_are_drawn_by_whole_flow_runs(scene: Scene) -> None:
    """Above the limit fewer are read, of each drawn flow run all, and the report says so."""
    limits = Limits(task_runs=80)
    with Store(":memory:") as whole, Store(":memory:") as store, Store(":memory:") as same:
        read_all(whole, scene.question, again(scene))
        read_all(store, scene.question, again(scene), limits=limits)
        read_all(same, scene.question, again(scene), limits=limits, page_size=9)
        of_run = (
            "SELECT flow_run_id, count(*) FROM task_runs WHERE child_flow_run_id = x'' GROUP BY 1"
        )
        counts = dict(whole.database.execute(of_run))
        drawn = dict(store.database.execute(of_run))

        assert 0 < sum(drawn.values()) <= 80 < len(scene.planted.tasks)
        assert drawn == {run: counts[run] for run in drawn}
        assert "task runs were read" in " ".join(notes(store))
        assert content(store) == content(same)


def test_stop_after_every_request_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    """Wherever it is stopped, the next start goes on, and what was read is the same."""
    limits = Limits(task_runs=80)
    whole = tmp_path / "whole.db"
    with Store(whole) as store:
        requests = read_all(store, scene.question, again(scene), limits=limits, page_size=20)
    for stop in range(requests):
        path = tmp_path / f"{stop}.db"
        crashing = again(scene, crash_after=stop)
        with Store(path) as store, pytest.raises(Crash):
            read_all(store, scene.question, crashing, limits=limits, page_size=20)
        with Store(path) as store:
            rest = again(scene)
            read_all(store, scene.question, rest, limits=limits, page_size=20)

        assert content(whole) == content(path)
        # Those that waited for an answer when it stopped are asked anew, and no others.
        assert stop + len(rest.asked) <= requests + AT_ONCE
        path.unlink()


def test_finished_reading_asks_nothing(scene: Scene) -> None:
    """What was read whole is not read again."""
    with Store(":memory:") as store:
        read_all(store, scene.question, again(scene))
        rest = again(scene)
        read_all(store, scene.question, rest)

        assert rest.asked == []


def refusing(route: str, status: int) -> Any:  # noqa: ANN401  # what Passing takes
    """Return an answer of that status to all that goes to a route."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        return answered(status, b"no") if route in request.url.path else None

    return answer


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("route", "what"),
    [
        ("automations", "automations"),
        ("block_documents", "blocks"),
        ("work_queues", "work queues"),
        ("workers/filter", "workers"),
        ("task_runs/filter", "task runs"),
        ("logs/filter", "logs of failed runs"),
    ],
)
def test_what_is_refused_is_a_note(scene: Scene, route: str, what: str, status: int) -> None:
    """A key that may not read something gets its report, which says what is lacking."""
    with Store(":memory:") as store:
        read_all(store, scene.question, again(scene, answer=refusing(route, status)))
        refused = load(store).server.refused

        assert any(f"did not let us read {what}" in each for each in notes(store))
        assert what in unread(store)
        assert [True] == [route in each for each in refused]
        assert scene.planted.ended <= ids(store)


def test_cloud_without_version_is_no_note(scene: Scene) -> None:
    """Prefect Cloud has no route for its version, and nobody misses it."""
    with Store(":memory:") as store:
        read_all(store, scene.question, again(scene, answer=refusing("admin/version", 404)))

        assert notes(store) == ()
        assert unread(store) == frozenset()
        assert load(store).server.version is None


@pytest.mark.parametrize(
    ("route", "status"), [("flow_runs/filter", 403), ("flows", 401), ("automations", 401)]
)
def test_workspace_that_cannot_be_read_ends_the_reading(
    scene: Scene, route: str, status: int
) -> None:
    """Without runs, or with a wrong key, there is no report."""
    with Store(":memory:") as store, pytest.raises(Rejected):
        read_all(store, scene.question, again(scene, answer=refusing(route, status)))


def test_pause_that_prefect_wants_is_waited_for(scene: Scene) -> None:
    """A 429 is no end: the same is asked again after its pause."""
    throttled: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response | None:
        if "flow_runs/filter" in request.url.path and len(throttled) < 3:
            throttled.append(request.url.path)
            return answered(429, b"")
        return None

    with Store(":memory:") as store:
        read_all(store, scene.question, again(scene, answer=answer))

        assert len(throttled) == 3
        assert scene.planted.ended <= ids(store)


@pytest.mark.parametrize("most", [1, 12, 25])
def test_no_more_requests_than_allowed(scene: Scene, most: int) -> None:
    """Where the requests are spent the reading ends, with a note; a few may be on their way."""
    with Store(":memory:") as store:
        asked = read_all(
            store, scene.question, again(scene), limits=Limits(requests=most), page_size=20
        )

        assert most <= asked < most + AT_ONCE
        assert any(f"was allowed {most} requests" in each for each in notes(store))
        assert "task runs" in unread(store)


def test_server_that_is_gone_keeps_what_was_read(scene: Scene) -> None:
    """Where Prefect goes away the reading ends with an error, and goes on later."""

    def gone(request: httpx.Request) -> httpx.Response | None:
        if "logs" in request.url.path:
            raise httpx.ConnectError("gone")
        return None

    with Store(":memory:") as store, Store(":memory:") as whole:
        with pytest.raises(Unreachable):
            read_all(store, scene.question, again(scene, answer=gone))
        rest = again(scene)
        read_all(store, scene.question, rest)
        read_all(whole, scene.question, again(scene))

        assert content(store) == content(whole)
        assert not any("flow_runs" in each for each in rest.asked)


def start(scene: Scene, state: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start the real command for a week that is always the same, with small pages."""
    until = scene.question.period.until_us / 1e6
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    command = [sys.executable, "-m", "prefect_exporter", "report", "--quiet"]
    options = ["--until", told, "--state", str(state), "--output", str(output)]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state.parent),
        "PREFECT_API_URL": scene.server.api_url,
        "PREFECT_EXPORTER_PAGE_SIZE": "5",
    }
    return subprocess.Popen([*command, *options], env=environment)


def rows_read(state: Path, mode: str = "ro") -> int:
    """Return how many rows a running report has read."""
    if not state.exists():
        return 0
    with closing(sqlite3.connect(f"file:{state}?mode={mode}", uri=True)) as database:
        try:
            return int(database.execute("SELECT sum(rows) FROM steps").fetchone()[0] or 0)
        except sqlite3.OperationalError:
            return 0


def rows_kept(state: Path) -> int:
    """Return how many rows a killed report has read.

    A transaction that it was killed in has left its journal, and who may only read cannot undo
    that one. A copy is written to, so that the next start finds what the killed one has left.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in state.parent.glob(f"{state.name}*"):
            shutil.copy(path, folder)
        return rows_read(Path(folder, state.name), mode="rw")


def told(output: Path) -> object:
    """Return what a report says, without what depends on when it was made."""
    report = json.loads(output.read_bytes())
    scope = {key: value for key, value in report["scope"].items() if key != "requests"}
    found = [(each["check"], each["subject"]) for each in report["findings"]]
    return scope, found, [each["id"] for each in report["sections"]]


def test_killed_report_goes_on(scene: Scene, tmp_path: Path) -> None:
    """Killed in the middle, twice, it goes on where it was, and says the same as one unstopped."""
    whole, stopped, state = tmp_path / "whole.json", tmp_path / "s.json", tmp_path / "state.db"
    assert start(scene, tmp_path / "other.db", whole).wait(120) == 0
    most = 0
    for least in (40, 150):
        child = start(scene, state, stopped)
        deadline = time.monotonic() + 60
        while rows_read(state) < least and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        assert not stopped.exists()
        kept = rows_kept(state)
        assert kept >= max(least, most)
        most = kept
    assert start(scene, state, stopped).wait(120) == 0

    assert told(whole) == told(stopped)
    assert not state.exists()
    assert oct(stopped.stat().st_mode & 0o777) == "0o600"
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == [
        "s.json",
        "whole.json",
    ]
