"""Say once a day what to fix first: `python flows.py` serves `workspace-report/daily`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.settings import get_current_settings

ARTIFACT = "workspace-report"

# How `prefect-exporter report` ends.
_MADE, _NO_ANSWER, _FOUND, _NOT_SENT = 0, 1, 5, 6


class ReportFailed(Exception):
    """The report was not made, or somebody was not reached with it."""


class FindingsTooSevere(Exception):
    """The report was made, and is kept; something in it is not to be left as it is."""


@flow(name="workspace-report", timeout_seconds=1800)
def workspace_report(
    since: str = "7d", fail_on: str | None = None, send_to_file: str | None = None
) -> None:
    """Make the report, keep it as an artifact, and say how much there is to mend.

    Args:
        since: How far it looks back.
        fail_on: `high`, `medium` or `low`: the run fails where a finding is at least so severe.
        send_to_file: File with the addresses that the report is sent to.
    """
    with tempfile.TemporaryDirectory(prefix="workspace-report-") as folder:
        markdown, document = Path(folder) / "report.md", Path(folder) / "report.json"
        options = ["--since", since, "--output", str(markdown), "--output", str(document)]
        options += ["--fail-on", fail_on] if fail_on else []
        options += ["--send-to-file", send_to_file] if send_to_file else []
        code, said = make_report(options)
        if code not in (_MADE, _FOUND, _NOT_SENT):
            raise ReportFailed(said)
        keep_report(markdown.read_text(encoding="utf-8"))
        findings = json.loads(document.read_text(encoding="utf-8"))["findings"]
    counts = Counter(each["severity"] for each in findings)
    words = ", ".join(f"{counts[each]} {each}" for each in ("high", "medium", "low"))
    get_run_logger().info("The report has %d findings: %s", len(findings), words)
    if code == _FOUND:
        raise FindingsTooSevere(f"{words}; see the artifact {ARTIFACT}")
    if code == _NOT_SENT:
        raise ReportFailed(said)


@task(retries=2, retry_delay_seconds=60)
def make_report(options: list[str]) -> tuple[int, str]:
    """Run `prefect-exporter report` in a process of its own; return how it ended, and what it said.

    Where Prefect did not answer it is tried again, and goes on where it was.
    """
    # The worker's settings, wherever they come from: a profile, a file, or the environment.
    settings = get_current_settings().to_environment_variables(
        exclude_unset=True, include_secrets=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "prefect_exporter", "report", "--quiet", *options],
        env=os.environ | settings,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = done.stderr.strip()[-2000:]
    if done.returncode == _NO_ANSWER:
        raise ReportFailed(said)
    return done.returncode, said


@task
def keep_report(markdown: str) -> None:
    """Keep the report where everybody sees it: under Artifacts, and with this run."""
    create_markdown_artifact(markdown, key=ARTIFACT, description="What to fix first")


if __name__ == "__main__":
    workspace_report.serve(name="daily", cron="0 6 * * *")
