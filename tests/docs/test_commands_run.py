"""Commands of the pages that need no stack, run as they stand there, and what they print."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.prefect_server import start_prefect_server
from demo.sandbox import Sandbox
from docs.blocks import ROOT, Block, blocks
from docs.checkers.commands import commands, shown
from docs.checks import run
from docs.printed_spans import printed_spans
from prefect_instrumentation.testing import render_tree

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

EXAMPLE = ROOT / "examples" / "tracing" / "orders.py"
TREES = [each for each in blocks() if re.match(r"flow orders Completed\n  task extract", each.text)]
# Pages say first where data is from and where it goes.
ENDS = ("prefect.source", "prefect.destination")

TARGETS = """\
targets:
  - name: production

    url: ftp://prefect.example.com

  - name: staging
    url: https://staging.example.com/api

    urll: https://staging.example.com/api
"""


def pages_say(text: str) -> str:
    """Return the one block of the pages that begins like that."""
    (block,) = (each for each in blocks() if each.text.startswith(text))
    return block.text


@pytest.fixture(name="printed", scope="module")
def _printed() -> Iterator[str]:
    """Return what the example prints when it is run as docs/tracing.md has it."""
    (command,) = {
        each.command
        for block in blocks()
        if block.page == "docs/tracing.md" and block.language == "console"
        for each in shown(block.text)
        if each.command.endswith(" python orders.py") and "console" in each.command
    }
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox)
        env = sandbox.prefect_environment(
            "reader",
            **server.client_environment,
            # Where a machine is busy, the usual second may be too short to send what is left.
            PREFECT_INSTRUMENTATION_EXIT_TIMEOUT="30s",
        )
        shutil.copy(EXAMPLE, sandbox.folder)
        # Log lines go elsewhere.
        told = run("bash", "-c", f"{command} 2>log.txt", cwd=sandbox.folder, env=env)
        assert told.returncode == 0, (sandbox.folder / "log.txt").read_text()[-3000:]
        yield told.stdout


def test_pages_draw_the_example() -> None:
    """README and the page about tracing show what becomes of it."""
    assert ["README.md", "docs/tracing.md"] == sorted({each.page for each in TREES})


@pytest.mark.parametrize("block", TREES, ids=str)
def test_example_makes_the_trace_that_is_drawn(block: Block, printed: str) -> None:
    """What the example prints, drawn with the attributes that a page shows, is what it draws."""
    named = dict.fromkeys([*ENDS, *re.findall(r"[\[ ]([\w.]+)=", block.text)])

    assert block.text == f"{render_tree(list(printed_spans(printed)), *named)}\n"


def test_every_page_runs_the_example_alike() -> None:
    """The command of README is that of the page about tracing, from the root of a clone."""
    found = {
        " ".join(words).replace(".venv/bin/", "").replace("examples/tracing/", "")
        for block in blocks()
        if block.language == "console" and block.page != "docs/tutorial.md"
        for each in shown(block.text)
        for words in commands(each.command)
        if words[-1].endswith("orders.py") and "OTEL_TRACES_EXPORTER=console" in words
    }

    assert {"OTEL_TRACES_EXPORTER=console python orders.py"} == found


def test_bad_setting_is_told_as_the_page_says() -> None:
    """A value that is out of range ends the start with the line that its page shows."""
    told = run("prefect-exporter", "check-config", env={"PREFECT_EXPORTER_POLL_INTERVAL": "0"})

    assert (2, pages_say("prefect-exporter: PREFECT_EXPORTER_")) == (told.returncode, told.stdout)


def test_bad_targets_are_told_as_the_page_says(tmp_path: Path) -> None:
    """Both mistakes of a file are told at once, in the lines that docs/targets.md shows."""
    (tmp_path / "targets.yaml").write_text(TARGETS)
    told = run(
        "prefect-exporter",
        "check-config",
        cwd=tmp_path,
        env={"PREFECT_EXPORTER_TARGETS_FILE": "targets.yaml"},
    )

    assert (2, pages_say("prefect-exporter: targets.yaml: ")) == (told.returncode, told.stdout)


@pytest.mark.parametrize(
    ("module", "source", "made"),
    [
        ("kpi", "deploy/kpi/kpis.yml", "out/kpi"),
        ("alerting", "deploy/alertmanager/teams.yml", "alertmanager-operator.yaml"),
    ],
)
def test_generator_runs_as_the_page_says(
    module: str, source: str, made: str, tmp_path: Path
) -> None:
    """A file of a reader's own becomes what the page then gives to Helm."""
    (command,) = (
        line
        for block in blocks()
        for line in block.text.splitlines()
        if block.language == "bash" and f"python -m {module} " in line
    )
    (own,) = re.findall(r"my-\w+\.yml", command)
    shutil.copy(ROOT / source, tmp_path / own)
    here = command.replace("PYTHONPATH=deploy .venv/bin/", "")
    told = run("bash", "-c", here, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "deploy")})

    assert (0, True) == (told.returncode, (tmp_path / made).exists()), told.stdout
