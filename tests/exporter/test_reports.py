"""The folder of reports, what serves them, and the schedule that makes them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contexts import settings_of
from fronts import SAFE, FakeService, ask_of
from prefect_exporter.report.rendering.policy import policy_for
from prefect_exporter.report_schedule import FAMILIES, ReportSchedule, report_command
from prefect_exporter.reports import KEPT, Reports
from prefect_exporter.routes import METRICS
from prefect_exporter.server import Auth, create_app

NOW = datetime(2026, 11, 21, 14, 50, 3, tzinfo=UTC)
DEADLINE_SECONDS = 60
WRITES = "import pathlib, sys\nfor path in sys.argv[1:]: pathlib.Path(path).write_text(path)"


def put(folder: Path, target: str = "default", *, age: float = 0.0, text: str = "x") -> Path:
    """Write a report that was made so many days ago."""
    path = Reports(folder).path(target, NOW - timedelta(days=age), "html")
    path.write_text(text)
    return path


def test_newest_report_is_found_whatever_lies_beside_it(tmp_path: Path) -> None:
    """The time in the name decides; other files, links and half-written names are left alone."""
    put(tmp_path, age=2)
    newest = put(tmp_path, age=1)
    put(tmp_path, "other", age=0)
    (tmp_path / "notes.html").write_text("mine")
    (tmp_path / "report-default-20269999T999999Z.html").write_text("no time")
    (tmp_path / "report-default-20270101T000000Z.html").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "report-default-20270102T000000Z.html")

    found = Reports(tmp_path).newest("html", "default")

    assert found is not None
    assert newest == found.path
    assert Reports(tmp_path).newest("md", "default") is None


def test_targets_whose_names_look_like_paths_stay_in_the_folder(tmp_path: Path) -> None:
    """A target may be called `..`; its report lies in the folder all the same."""
    path = put(tmp_path, "..", text="here")

    assert tmp_path == path.parent
    assert b"here" == Reports(tmp_path).read("html", "..")


def test_only_the_newest_reports_are_kept(tmp_path: Path) -> None:
    """Five reports of a target stay, in all their formats; another's, and other files, too."""
    reports = Reports(tmp_path)
    for age in range(KEPT + 3):
        put(tmp_path, age=age).with_suffix(".md").write_text("x")
    other = put(tmp_path, "other", age=100)
    (tmp_path / "notes.html").write_text("mine")
    # What a child that was killed has left behind.
    (tmp_path / f".{put(tmp_path, age=0).name}.k3_x9").write_text("half")
    (tmp_path / ".report-default-notes.html").write_text("mine")

    reports.thin_out("default")

    kept = sorted(path.name for path in tmp_path.iterdir())
    assert 2 * KEPT + 3 == len(kept)
    assert {other.name, "notes.html", ".report-default-notes.html"} <= set(kept)
    assert put(tmp_path, age=KEPT - 1).name in kept


def serve(folder: Path, path: str, *, auth: Auth | None = None) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers of an answer."""
    app = create_app(FakeService(), auth=auth or Auth(), reports=Reports(folder))
    answer = ask_of(app, path)
    return answer.status_code, answer.text, dict(answer.headers)


def test_report_is_served_with_its_own_policy(tmp_path: Path) -> None:
    """A browser may run the style and script that the report was made with, and nothing else."""
    policy = policy_for("a{}", "b()")
    put(
        tmp_path,
        text=f'<!doctype html>\n<meta http-equiv="Content-Security-Policy" content="{policy}">é',
    )

    status, text, headers = serve(tmp_path, "/report")

    assert (200, "text/html; charset=utf-8") == (status, headers["content-type"])
    assert text.endswith("é")
    assert f"{policy}; frame-ancestors 'none'" == headers["content-security-policy"]
    same = SAFE.keys() - {"content-security-policy"}
    assert {name: SAFE[name] for name in same} == {name: headers.get(name) for name in same}


@pytest.mark.parametrize(
    "meta",
    [
        "",
        '<meta http-equiv="Content-Security-Policy" content="script-src *">',
        '<meta http-equiv="Content-Security-Policy" content="script-src \'unsafe-inline\'">',
    ],
)
def test_file_that_is_no_report_may_run_nothing(tmp_path: Path, meta: str) -> None:
    """A file that another program put there gets no say in what is run."""
    put(tmp_path, text=f"<!doctype html>{meta}<script>alert(1)</script>")

    _, _, headers = serve(tmp_path, "/report")

    expected = "default-src 'none'; frame-ancestors 'none'"
    assert expected == headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/report.md", "text/markdown; charset=utf-8"), ("/report.json", "application/json")],
)
def test_other_formats_are_served_beside_it(tmp_path: Path, path: str, kind: str) -> None:
    """Markdown and JSON come as what they are, and no browser runs anything of them."""
    put(tmp_path).with_suffix(Path(path).suffix).write_text("{}")

    status, text, headers = serve(tmp_path, path)

    assert (200, "{}", kind) == (status, text, headers["content-type"])
    assert SAFE["content-security-policy"] == headers["content-security-policy"]


def test_report_of_one_target_is_asked_for_by_name(tmp_path: Path) -> None:
    """`?target=` takes that target's report; without it the newest of all is taken."""
    put(tmp_path, "a", age=2, text="of a")
    put(tmp_path, "b", age=1, text="of b")

    assert "of a" == serve(tmp_path, "/report?target=a")[1]
    assert "of b" == serve(tmp_path, "/report")[1]


@pytest.mark.parametrize("query", ["", "?target=no", "?target=../../etc/passwd", "?target=%00"])
def test_missing_report_says_how_to_make_one(tmp_path: Path, query: str) -> None:
    """Where there is none, a 404 says in plain words what to set or to run."""
    status, text, _ = serve(tmp_path / "nowhere", f"/report{query}")

    assert status == 404
    assert "Set PREFECT_EXPORTER_REPORT_SCHEDULE" in text
    assert f"prefect-exporter report --target NAME --output {tmp_path}/nowhere/report-NAME-" in text


def test_report_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A file beyond the limit is left where it is: it would take the exporter's memory."""
    with put(tmp_path).open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)

    assert Reports(tmp_path).read("html") is None


def test_reports_belong_to_the_page(tmp_path: Path) -> None:
    """Where metrics are bound apart, no report is at their address."""
    put(tmp_path)
    app = create_app(FakeService(), auth=Auth(), parts=(METRICS,), reports=Reports(tmp_path))

    assert 404 == ask_of(app, "/report").status_code


class Clock:
    """A schedule whose time a test sets, and whose child is a script of the test's."""

    def __init__(
        self, folder: Path, script: str, schedule: str = "0 6 * * *", *, patience: float = 30.0
    ) -> None:
        self.now = NOW
        self.started: list[str] = []
        self.reports = Reports(folder)
        self.script = script
        self.schedule = ReportSchedule(
            schedule, self.reports, self.command, lambda: self.now, timeout_seconds=patience
        )

    def command(self, target: str, outputs: Sequence[Path]) -> Sequence[str]:
        """Return the child's command line, and remember it."""
        self.started.append(target)
        return [sys.executable, "-c", self.script, *map(str, outputs)]

    def look(self, *targets: str, later: timedelta = timedelta(0)) -> None:
        """Look at what is due, so much later."""
        self.now += later
        run(self.schedule.look(targets or ("default",)))

    def samples(self) -> dict[str, float]:
        """Return the metrics of the target ``default``, without their prefix."""
        prefix = "prefect_exporter_report_"
        return {
            family.name.removeprefix(prefix): value
            for family in FAMILIES
            for _, value in family.read(self.schedule.all_made()["default"])
        }


def run(work: Coroutine[None, None, None]) -> None:
    """Run to the end, or fail."""
    asyncio.run(asyncio.wait_for(work, DEADLINE_SECONDS))


def test_report_is_made_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    """Nothing is made at the start; the next due time brings one, and then none until the next."""
    clock = Clock(tmp_path, WRITES)
    clock.look()
    clock.look(later=timedelta(hours=15))
    before = list(clock.started)
    clock.look(later=timedelta(minutes=10))
    clock.look(later=timedelta(minutes=10))

    assert [] == before
    assert ["default"] == clock.started
    made = clock.reports.newest("html", "default")
    assert made is not None
    assert {".html", ".md", ".json"} == {path.suffix for path in tmp_path.iterdir()}
    assert {"success", "duration_seconds", "last_success_timestamp_seconds"} == set(clock.samples())
    assert made.made.timestamp() == clock.samples()["last_success_timestamp_seconds"]


def test_report_that_was_missed_is_made_at_once(tmp_path: Path) -> None:
    """Where the exporter was down at the due time, its start makes what is missing, once."""
    put(tmp_path, age=1.5)
    clock = Clock(tmp_path, WRITES)
    clock.look()
    clock.look()

    assert ["default"] == clock.started


def test_restart_remembers_the_last_success(tmp_path: Path) -> None:
    """An alert on the report's age does not begin anew with each start."""
    put(tmp_path, age=0.1)
    clock = Clock(tmp_path, WRITES)
    clock.look()

    expected = (NOW - timedelta(days=0.1)).replace(microsecond=0).timestamp()
    assert {"last_success_timestamp_seconds": expected} == clock.samples()


def test_each_target_has_its_report_and_one_is_made_at_a_time(tmp_path: Path) -> None:
    """Targets follow each other; one that fails does not keep the others from theirs."""
    script = f"import sys\nif 'report-a-' in sys.argv[1]: sys.exit('no')\n{WRITES}"
    clock = Clock(tmp_path, script)
    clock.look("b", "a")
    clock.look("b", "a", later=timedelta(days=1))

    assert ["a", "b"] == clock.started
    assert [False, True] == [clock.schedule.all_made()[name].succeeded for name in "ab"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; print('x' * 99999, file=sys.stderr); sys.exit('Prefect is down')", "Prefect"),
        ("import sys; sys.exit(3)", "ended with exit code 3 and no word"),
        ("pass", "ended with exit code 0 and no word"),
        ("import time; time.sleep(60)", "was cut off after 5 s"),
    ],
    ids=["told", "silent", "wrote nothing", "too slow"],
)
def test_failure_is_one_line_and_no_success(tmp_path: Path, script: str, reason: str) -> None:
    """A child that fails, says nothing, writes nothing or takes too long is told and given up."""
    clock = Clock(tmp_path, script, patience=5.0 if "sleep" in script else 30.0)
    clock.look()
    with capture_logs() as lines:
        clock.look(later=timedelta(days=1))

    assert ["report.failed"] == [line["event"] for line in lines]
    assert lines[0]["reason"].startswith(reason)
    assert 0.0 == clock.samples()["success"]
    assert "last_success_timestamp_seconds" not in clock.samples()


def test_reports_that_cannot_be_sent_do_not_fill_the_disk(tmp_path: Path) -> None:
    """Each is written before it is sent, so the old ones go although all of them fail."""
    clock = Clock(tmp_path, f"{WRITES}\nsys.exit('the report could not be sent')")
    for _ in range(KEPT + 3):
        clock.look(later=timedelta(days=1))

    assert len(list(tmp_path.glob("*.html"))) <= KEPT


def test_command_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    """A folder that cannot be made is a line, and the watch goes on."""
    (tmp_path / "file").write_text("")
    clock = Clock(tmp_path / "file" / "reports", WRITES)
    clock.look()
    with capture_logs() as lines:
        clock.look(later=timedelta(days=1))

    assert ["cannot be started: Not a directory"] == [line["reason"] for line in lines]


def test_child_is_killed_when_the_exporter_ends(tmp_path: Path) -> None:
    """A report that is being made does not outlive the service that wanted it."""
    pid = tmp_path / "pid"
    script = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    clock = Clock(tmp_path, script)

    async def check() -> None:
        await clock.schedule.look(["default"])
        clock.now += timedelta(days=1)
        task = asyncio.create_task(clock.schedule.run(lambda: ["default"], look_seconds=0.01))
        while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    run(check())

    assert not lives(int(pid.read_text()))


def lives(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Callable[[], bool]) -> bool:
    """Return whether it came true in time."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return true


def test_defect_of_a_look_does_not_end_the_watch(tmp_path: Path) -> None:
    """An error that nobody expected is logged, and the next look comes."""
    clock = Clock(tmp_path, WRITES)
    calls: list[int] = []

    def targets() -> list[str]:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return []

    async def check() -> None:
        task = asyncio.create_task(clock.schedule.run(targets, look_seconds=0.01))
        while len(calls) < 3:  # noqa: ASYNC110 - nothing to wait for but the calls
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with capture_logs() as lines:
        run(check())

    assert ["report.schedule_failed"] == [line["event"] for line in lines]


def test_command_line_holds_no_secret(tmp_path: Path) -> None:
    """What anybody reads in the list of processes is the target, the period and files alone."""
    addresses = tmp_path / "addresses"
    addresses.write_text("mailto://me:hunter2@mail\n")
    settings = settings_of(
        REPORT_SCHEDULE="0 6 * * 1", REPORT_SINCE="30d", REPORT_SEND_TO_FILE=str(addresses)
    )

    command = report_command(settings, tmp_path)("prod", [tmp_path / "a.html"])

    # Without -P it would import whatever lies in the folder that the exporter was started in.
    child = [sys.executable, "-P", "-m", "prefect_exporter.report_child", str(os.getpid())]
    assert child == command[:5]
    options = dict(zip(command[5:9:2], command[6:9:2], strict=False))
    assert {"--target": "prod", "--since": "30d"} == options
    assert ["--send-to-file", str(addresses)] == list(command[-2:])
    assert "hunter2" not in " ".join(command)


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    """Where the exporter is killed, the process that makes its report goes too, and it was polite.

    The child here asks a Prefect that never answers.
    """
    told = tmp_path / "told"
    child = (
        "import os, sys, time\n"
        "import prefect_exporter.report_child as child\n"
        "def wait():\n"
        f"    open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{os.nice(0)}} {{sys.argv}}')\n"
        "    time.sleep(60)\n"
        "child.main = wait\n"
        "child.make_report(os.getppid(), ['--quiet'])\n"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        try:
            assert until(lambda: told.exists() and "]" in told.read_text())
        finally:
            process.send_signal(signal.SIGKILL)
    pid, nice, argv = told.read_text().split(" ", 2)

    assert until(lambda: not lives(int(pid)))
    assert min(10 + os.nice(0), 19) == int(nice)
    assert "['prefect-exporter', 'report', '--quiet']" == argv


def test_child_of_a_parent_that_is_gone_does_nothing() -> None:
    """A child that comes up after its exporter's end leaves at once."""
    command = [sys.executable, "-m", "prefect_exporter.report_child", "1", "--help"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE_SECONDS)

    assert (1, b"") == (done.returncode, done.stdout)
