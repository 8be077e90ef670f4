"""``prefect-exporter report``: its options, what it writes, and with which code it ends."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from demo.prefect_server import PrefectServer
from prefect_exporter.__main__ import cli
from prefect_exporter.environment import BadSettings
from prefect_exporter.report.making import fails
from prefect_exporter.report.model import Report, Severity
from prefect_exporter.report.outputs import write
from prefect_exporter.report.words import count
from report.planting import Planter, still_server
from report.reports import many_findings
from report.reports import report as some_report


def run(
    folder: Path, *arguments: str, url: str = "http://127.0.0.1:9/api", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command at home in a folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PREFECT_API_URL": url}
    return subprocess.run(
        [sys.executable, "-m", "prefect_exporter", "report", *arguments],
        env=environment | more,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--since", "soon"],
            "--since 'soon' is neither a duration such as 7d nor a time such as 2026-11-01T00:00Z",
        ),
        (
            ["--until", "2026-11-01T00:00"],
            "--until '2026-11-01T00:00' names no time zone; write 2026-11-01T00:00Z for UTC",
        ),
        (
            ["--until", "2026-11-01T00:00Z", "--since", "2026-11-02T00:00Z"],
            "--since '2026-11-02T00:00Z' is not before --until, 2026-11-01T00:00:00Z",
        ),
        (
            ["--since", "500d"],
            "--since '500d' is more than 400 days before --until; give a later time",
        ),
        (
            ["--until", "2999-01-01T00:00Z"],
            "--until '2999-01-01T00:00Z' is still to come; leave it out for now",
        ),
        (
            ["--price-pool", "gpu"],
            "--price-pool 'gpu' is no name with a price; write it as gpu-pool=2.50",
        ),
        (
            ["--price-pool", "gpu=-1"],
            "--price-pool 'gpu=-1' is no name with a price; write it as gpu-pool=2.50",
        ),
        (
            ["--output", "report.pdf"],
            "--output 'report.pdf' ends in neither .html nor .md nor .json; say --format too",
        ),
        (
            ["--output", "no/report.md"],
            "--output 'no/report.md' cannot be written: there is no folder 'no'",
        ),
        (["--output", ".", "--format", "md"], "--output '.' is a folder; name a file in it"),
        (
            ["--output", f"{'a' * 300}.md"],
            f"--output '{'a' * 300}.md' cannot be written: File name too long",
        ),
        (["--until", "0001-01-01T00:00Z"], "--until '0001-01-01T00:00Z' is before 1970"),
        (["--until", "999999999d"], "--until '999999999d' is before 1970"),
        (["--flow", "a\udcff"], r"--flow 'a\udcff' is not UTF-8"),
        (["--tag", "a\udcff"], r"--tag 'a\udcff' is not UTF-8"),
        (["--price-cpu-hour", "nan"], "--price-cpu-hour nan is no price; write it as 0.05"),
        (
            ["--price-memory-gib-hour", "inf"],
            "--price-memory-gib-hour inf is no price; write it as 0.05",
        ),
        (["--target", "prod"], "--target 'prod' is not known; give one of: default"),
        (
            ["--state", "no/state.db"],
            "--state 'no/state.db' cannot be written: No such file or directory; give another path",
        ),
        (["--format", "pdf"], "--format: 'pdf' is not one of 'html', 'md', 'json'"),
        (["--max-task-runs", "-1"], "--max-task-runs: -1 is not in the range x>=0"),
        (["--code", "nowhere"], "--code: Path 'nowhere' does not exist"),
        (
            ["--sinse", "7d"],
            (
                "No such option '--sinse'. Did you mean '--since'?; "
                "prefect-exporter report --help shows all"
            ),
        ),
    ],
    ids=lambda given: " ".join(given)[:30] if isinstance(given, list) else "",
)
def test_wrong_option_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    """It names the option, what is wrong with it and what mends it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadSettings) as error:
        cli.main(["report", *arguments], standalone_mode=False)

    assert (line,) == error.value.problems


def test_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    """Root could put a file in the place of /dev/null, and of a pipe that somebody reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(str(pipe), "text")

    assert b"text" == os.read(reader, 10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


def test_wrong_option_ends_with_two(tmp_path: Path) -> None:
    """The line goes to standard error."""
    done = run(tmp_path, "--since", "soon")

    assert (2, 1, "") == (done.returncode, len(done.stderr.splitlines()), done.stdout)
    assert done.stderr.startswith("prefect-exporter: --since 'soon' is neither")


def test_prefect_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """As with the other commands: why, what mends it, and code 1; no output is left behind."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
        done = run(
            tmp_path, "--quiet", "--output", "r.md", url=url, PREFECT_EXPORTER_REQUEST_ATTEMPTS="1"
        )

    assert 1 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert "connection refused" in done.stderr
    assert not (tmp_path / "r.md").exists()


def test_help_names_every_exit_code(tmp_path: Path) -> None:
    """And it does so without any of the libraries that a report is made with."""
    done = run(tmp_path, "--help")

    assert 0 == done.returncode
    assert ["0", "1", "2", "5", "6"] == [
        line.split()[0]
        for line in done.stdout.splitlines()
        if line.startswith("  ") and line.split()[0].isdigit()
    ]


@pytest.mark.parametrize(
    ("there", "worst", "wanted"),
    [
        ("high", "high", True),
        ("medium", "high", False),
        ("medium", "medium", True),
        ("high", "low", True),
        ("low", "medium", False),
        (None, "low", False),
    ],
)
def test_fail_on_means_at_least(there: str | None, worst: str, wanted: bool) -> None:  # noqa: FBT001  # a table's column
    """A finding that is more severe counts too, one that is less does not."""
    report = some_report()
    found = (
        (msgspec.structs.replace(report.findings[0], severity=Severity(there)),) if there else ()
    )
    report = msgspec.structs.replace(report, findings=found)

    assert wanted == fails(report, Severity(worst))


def test_fail_on_counts_what_is_not_told_in_full() -> None:
    """The last of a thousand findings, beyond those that are shown, ends with 5 too."""
    assert fails(many_findings(), Severity.LOW)
    assert not fails(many_findings(), Severity.HIGH)


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[PrefectServer]:
    with still_server() as server:
        with Planter(server) as planter:
            flow = planter.flow("broken", ["team:a"])
            nightly = planter.deployment(flow, "nightly")
            for hour in range(40):
                ago = 3_600.0 * hour + 60
                planter.run(flow, nightly, ended_ago=ago, state="Failed", message="no such table")
        yield server


@pytest.mark.real
@pytest.mark.timeout(300)
def test_report_is_written_in_every_format(server: PrefectServer, tmp_path: Path) -> None:
    """Each file is whole, for its owner alone, and the state is gone."""
    names = ("r.html", "r.md", "r.json")
    outputs = [part for name in names for part in ("--output", name)]
    done = run(tmp_path, *outputs, url=server.api_url)

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    report = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=Report)
    assert 40 == report.scope.flow_runs
    high = sum(each.severity is Severity.HIGH for each in report.findings)
    counted = f"{count(len(report.findings), 'finding')}, {high} of them high"
    assert f"{counted}, in r.html, r.md and r.json" == done.stderr.splitlines()[-1]
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert "broken" in (tmp_path / "r.md").read_text()
    assert {0o600} == {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names}
    assert set(names) == {each.name for each in tmp_path.iterdir() if each.is_file()}
    assert [] == list((tmp_path / ".cache" / "prefect-exporter").iterdir())


@pytest.mark.real
@pytest.mark.timeout(300)
def test_report_goes_to_standard_output(server: PrefectServer, tmp_path: Path) -> None:
    """Without a file it is Markdown; --format says otherwise."""
    usual = run(tmp_path, "--quiet", url=server.api_url)
    as_json = run(tmp_path, "--quiet", "--format", "json", "--output", "-", url=server.api_url)

    assert usual.stdout.startswith("# ")
    assert "default" == json.loads(as_json.stdout)["scope"]["target"]
    assert "" == usual.stderr + as_json.stderr


@pytest.mark.real
@pytest.mark.timeout(300)
def test_fail_on_ends_with_five_and_writes(server: PrefectServer, tmp_path: Path) -> None:
    """A pipeline fails by what was found, and has the report all the same."""
    done = run(tmp_path, "--quiet", "--fail-on", "high", "--output", "r.json", url=server.api_url)

    assert 5 == done.returncode
    found = json.loads((tmp_path / "r.json").read_text())["findings"]
    assert "flow-broken" in {each["check"] for each in found if each["severity"] == "high"}


@pytest.mark.real
@pytest.mark.timeout(300)
def test_report_that_was_not_sent_is_made(server: PrefectServer, tmp_path: Path) -> None:
    """An address that fails has a code of its own; nothing is left to go on from."""
    addresses = tmp_path / "addresses"
    addresses.write_text("json://127.0.0.1:9/hunter2\n")
    options = ("--quiet", "--fail-on", "high", "--output", "r.md", "--state", "state")
    done = run(tmp_path, *options, "--send-to-file", "addresses", url=server.api_url)

    told = "prefect-exporter: the report could not be sent to address 1 (json)\n"
    assert (6, told) == (done.returncode, done.stderr)
    assert (tmp_path / "r.md").read_text().startswith("# ")
    assert not (tmp_path / "state").exists()


@pytest.mark.real
@pytest.mark.timeout(300)
def test_notes_on_code_stand_in_the_report(server: PrefectServer, tmp_path: Path) -> None:
    """What of the sources could not be read is told, like what of Prefect could not."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "broken.py").write_text("import prefect\ndef broken(:\n")
    output = tmp_path / "r.json"
    done = run(tmp_path, "--code", "flows", "--output", str(output), url=server.api_url)

    assert 0 == done.returncode, done.stderr
    (note,) = (each for each in json.loads(output.read_text())["scope"]["notes"] if "flows" in each)
    assert "flows/broken.py could not be read as Python." == note


@pytest.mark.real
@pytest.mark.timeout(300)
def test_old_report_stays_where_the_new_one_fails(server: PrefectServer, tmp_path: Path) -> None:
    """A file is replaced by a whole one or not at all."""
    folder = tmp_path / "out"
    folder.mkdir()
    output = folder / "r.md"
    output.write_text("old")
    done = run(tmp_path, "--output", str(output), url=f"{server.api_url}/no")

    assert 1 == done.returncode
    assert "old" == output.read_text()
    assert [output] == list(folder.iterdir())
