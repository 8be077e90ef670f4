"""`python -m demo` does what the README promises, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from demo.driver import counted_by_exporter
from demo.installation import missing
from demo.processes import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PARTS = 5
ENDS = {"completed", "crashed", "failed"}


@contextmanager
def _demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo", *arguments],
        env=os.environ | {"PYTHONPATH": str(EXAMPLES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with demo:
            yield demo
    finally:
        demo.kill()


def _read_until(demo: subprocess.Popen[str], text: str) -> str:
    """Return what the demo writes up to and with the line that holds *text*."""
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    pytest.fail(f"the demo ended without {text!r}:\n{''.join(lines)}")


def _rest(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    return demo.stdout.read()


def _folder(output: str) -> Path:
    found = re.search(r"Starting in (\S+):", output)
    assert found is not None
    return Path(found[1])


def _living_in(folder: Path) -> list[str]:
    """Return the command lines of all processes whose home is below *folder*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME", "").startswith(f"{folder}/"):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def _counts(output: str) -> dict[str, tuple[int, int]]:
    """Return the closing table: each outcome with the exporter's and the server's number."""
    rows = re.findall(r"^\| (\w+) +\| (\d+) +\| (\d+) +\|$", output, re.MULTILINE)
    return {outcome: (int(counted), int(held)) for outcome, counted, held in rows}


@pytest.mark.real
@pytest.mark.timeout(600)
def test_demo_counts_exactly_and_leaves_nothing() -> None:
    """All parts answer where the table says; exporter and server agree; all is gone afterwards."""
    with _demo() as demo:
        output = _read_until(demo, "A run starts every few seconds")
        folder = _folder(output)
        running = _living_in(folder)
        addresses = re.findall(r"^\| .+ \| (http://\S+) +\|$", output, re.MULTILINE)
        answers = [
            httpx.get(url, follow_redirects=True, timeout=30, trust_env=False) for url in addresses
        ]
        (metrics,) = (url for url in addresses if url.endswith("/metrics"))
        wait_until(
            lambda: counted_by_exporter(metrics).keys() >= ENDS, within=180, what="runs of each end"
        )
        demo.send_signal(signal.SIGINT)
        output += _rest(demo)

    counts = _counts(output)
    assert demo.returncode == 0, output
    assert [True] * (PARTS - len(missing())) == [answer.is_success for answer in answers]
    assert len(running) >= PARTS - len(missing())
    assert ENDS | {"all"} <= counts.keys()
    assert [(held, held) for _, held in counts.values()] == list(counts.values())
    assert not folder.exists()
    assert _living_in(folder) == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_demo_ends_by_itself() -> None:
    """After the time that was given, with the counts of what there was, and nothing is left."""
    with _demo("--for", "1s") as demo:
        output = _rest(demo)

    assert demo.returncode == 0, output
    assert "The demo ends in 1 s." in output
    assert "all" in _counts(output)
    assert not _folder(output).exists()


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "line",
    ["Starting in", "Work pools and deployments"],
    ids=["before the server answers", "before the exporter answers"],
)
def test_interrupted_start_leaves_nothing(line: str) -> None:
    """Ctrl-C while the parts are starting ends those that run."""
    with _demo() as demo:
        output = _read_until(demo, line)
        demo.send_signal(signal.SIGINT)
        output += _rest(demo)

    assert demo.returncode == 130, output
    assert "is removed." in output
    assert not _folder(output).exists()
    assert _living_in(_folder(output)) == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_demo_that_is_killed_leaves_nothing() -> None:
    """Even SIGKILL, with flow runs at work, takes everything down."""
    with _demo() as demo:
        folder = _folder(_read_until(demo, "A run starts every few seconds"))
        wait_until(lambda: "prefect.engine" in str(_living_in(folder)), within=120, what="a run")
        demo.kill()
        # The keeper holds the other end of the output until it is done.
        _rest(demo)

    assert not folder.exists()
    assert _living_in(folder) == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_demo_names_a_part_that_ends() -> None:
    """A part that dies ends the demo with its name, and leaves nothing."""
    with _demo() as demo:
        output = _read_until(demo, "A run starts every few seconds")
        children = psutil.Process(demo.pid).children()
        (exporter,) = [child for child in children if "prefect_exporter" in child.cmdline()]
        exporter.kill()
        output += _rest(demo)

    assert demo.returncode == 1, output
    assert "exporter ended with code -9" in output
    assert not _folder(output).exists()


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d"])
def test_time_that_is_none_is_refused(text: str) -> None:
    """A wrong duration is named before anything starts."""
    with _demo(f"--for={text}") as demo:
        output = _rest(demo)

    assert demo.returncode == 2
    assert f"{text!r} is no time such as 90s, 5m or 1h" in output
