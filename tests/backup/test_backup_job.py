"""scripts/backup-job: a command of the backup becomes a Job, and its end that of the script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backup_worlds import ROOT
from helm.rendering import named, render

CRON_JOB = "obs-prefect-observability-backup-restore"

# Answers as kubectl does, from files beside it; each call is written down.
KUBECTL = f"""\
#!{sys.executable}
import json, pathlib, sys

here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
words = [word for word in sys.argv[1:] if word not in ("--namespace", "observability")]
match words:
    case ["create", "job", name, "--from", origin, "--dry-run=client", "--output", "json"]:
        if not (here / f"{{origin.replace('/', '-')}}.json").exists():
            sys.exit("Error from server (NotFound): cronjobs.batch not found")
        spec = json.loads((here / f"{{origin.replace('/', '-')}}.json").read_text())
        print(json.dumps({{"kind": "Job", "metadata": {{"name": name}}, "spec": spec}}))
    case ["patch", "--local", *_, "--patch", patch, "--output", "json"]:
        job = json.load(sys.stdin)
        for change in json.loads(patch):
            *above, last = change["path"].strip("/").split("/")
            place = job
            for step in above:
                place = place[int(step) if step.isdigit() else step]
            place[last] = change["value"]
        print(json.dumps(job))
    case ["create", "--filename", "-"]:
        text = sys.stdin.read()
        if not text:
            sys.exit("error: no objects passed to create")
        (here / "created.json").write_text(text)
    case ["get", "pods", *_, path] if "phase" in path:
        asked = (here / "calls").read_text().count("phase")
        print("" if asked == 1 else "Pending" if asked == 2 else "Running", end="")
    case ["get", "pods", *_]:
        asked = (here / "calls").read_text().count("exitCode")
        print("" if asked == 1 else (here / "code").read_text(), end="")
    case ["logs", "--follow", _]:
        print("what the pod wrote")
        sys.exit("error: the connection was lost")
"""


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> Path:
    """A folder with a kubectl that knows the CronJob of restores."""
    backup = {
        "enabled": True,
        "repository": "s3:https://s3.example.com/bucket",
        "restore": {"enabled": True, "database": {"name": "owner"}},
    }
    cron = named(render(values={"backup": backup}), "CronJob", CRON_JOB)
    spec = cron["spec"]["jobTemplate"]["spec"]
    (tmp_path / f"cronjob-{CRON_JOB}.json").write_text(json.dumps(spec))
    (tmp_path / "code").write_text("0")
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    return tmp_path


def ran(cluster: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Return how the script went."""
    return subprocess.run(
        [ROOT / "scripts" / "backup-job", *argv],
        env={"PATH": f"{cluster}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def created(cluster: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the Job that was made."""
    return json.loads((cluster / "created.json").read_text())


def test_command_becomes_a_job_that_is_tried_once(cluster: Path) -> None:
    """All else is the CronJob's: its Secrets, its limits, its user."""
    words = ["restore", "--at", '2026-11-20 03:00 "Z\\', "--yes"]
    ended = ran(cluster, "-n", "observability", CRON_JOB, *words)
    job = created(cluster)
    spec = json.loads((cluster / f"cronjob-{CRON_JOB}.json").read_text())
    (container,) = spec["template"]["spec"]["containers"]
    container["args"] = words
    spec |= {"backoffLimit": 0, "ttlSecondsAfterFinished": 600}

    assert (0, "what the pod wrote\n") == (ended.returncode, ended.stdout), ended.stderr
    assert spec == job["spec"]
    assert job["metadata"]["name"].startswith(f"{CRON_JOB}-")
    calls = [json.loads(line) for line in (cluster / "calls").read_text().splitlines()]
    assert {("--namespace", "observability")} == {tuple(call[:2]) for call in calls}


@pytest.mark.parametrize("code", [1, 2, 3])
def test_script_ends_as_the_command_did(cluster: Path, code: int) -> None:
    """Also where the connection was lost meanwhile, and the log with it."""
    (cluster / "code").write_text(str(code))

    assert code == ran(cluster, CRON_JOB, "restore").returncode


def test_unknown_cron_job_is_told(cluster: Path) -> None:
    """Nothing is made, and kubectl says why."""
    ended = ran(cluster, "mistyped", "run")

    assert 0 != ended.returncode
    assert "NotFound" in ended.stderr
    assert not (cluster / "created.json").exists()


def test_without_a_command_it_says_how(cluster: Path) -> None:
    """And makes nothing."""
    ended = ran(cluster, CRON_JOB)

    assert (2, True) == (ended.returncode, "scripts/backup-job [-n NAMESPACE]" in ended.stdout)
    assert not (cluster / "calls").exists()
