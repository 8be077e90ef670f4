"""What our images hold, and how each behaves as the container that hardening makes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from stack.compose import ROOT, docker, docker_run

pytestmark = pytest.mark.stack

VERSION = os.environ.get("STACK_VERSION", "0.1.0")
IMAGES = ("exporter", "worker", "backup")
FOLDERS = {"exporter": "/opt/prefect-exporter", "worker": "/opt/flows", "backup": "/opt/backup"}
# Which of our distributions each has: the worker's demo makes a report.
OURS = {
    "exporter": {"prefect-exporter"},
    "worker": {"prefect-exporter", "prefect-instrumentation"},
}
STATES = {"exporter": ["/var/lib/prefect-exporter"], "backup": ["/var/lib/prefect-backup"]}
STRANGER = "54321:54321"
HARDENED = (
    f"--user={STRANGER}",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=none",
    "--memory=512m",
)
EXPORTER = (
    "--env=PREFECT_API_URL=http://127.0.0.1:1/api",
    "--env=PREFECT_EXPORTER_STATE_PATH=/tmp/ledger.sqlite",
)
BACKUP = (
    "--env=PREFECT_BACKUP_STATE_DIR=/tmp/state",
    "--env=PREFECT_BACKUP_SCRATCH_DIR=/tmp/scratch",
)
LABELS = {
    f"org.opencontainers.image.{name}"
    for name in ("title", "description", "source", "version", "revision", "licenses", "created")
}
ABSENT = ("uv", "git", "curl", "gcc", "cc", "make", "pytest", "ruff", "mypy")
WITHIN_SECONDS = 120


def image(name: str) -> str:
    """Return the full name of an image of ours."""
    return f"prefect-observability/{name}:{VERSION}"


def inside(name: str, script: str, *options: str) -> str:
    """Return what a shell script writes in a container of the image, as root unless told."""
    options = ("--user=0", "--network=none", *options)
    return docker("run", "--rm", "--entrypoint=sh", *options, image(name), "-c", script)


@contextmanager
def running(name: str, *options: str) -> Iterator[str]:
    """Run the image as its own command says, with *options*; yield the container's id."""
    container = docker("run", "--detach", *HARDENED, *options, image(name)).strip()
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def state(container: str) -> Mapping[str, Any]:
    """Return how Docker finds the container."""
    answer: Mapping[str, Any] = json.loads(docker("inspect", "--format={{json .State}}", container))
    return answer


def becomes(container: str, health: str) -> bool:
    """Return whether the container's health is so in time."""
    return until(lambda: state(container)["Health"]["Status"] == health)


def until(holds: Callable[[], bool]) -> bool:
    """Return whether something holds in time."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return held


def distributions(name: str) -> dict[str, str]:
    """Return each Python distribution of the image's environment with its version."""
    listing = "{each.name: each.version for each in m.distributions()}"
    script = f"import importlib.metadata as m, json; print(json.dumps({listing}))"
    python = f"{FOLDERS[name]}/bin/python"
    told = docker(
        "run", "--rm", "--network=none", f"--entrypoint={python}", image(name), "-c", script
    )
    found: dict[str, str] = json.loads(told)
    return {normal(each): version for each, version in found.items()}


def normal(name: str) -> str:
    """Return a distribution's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """Return each package of uv.lock with its version."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {package["name"]: package["version"] for package in packages}


@pytest.mark.parametrize("name", IMAGES)
def test_labels_say_what_it_is(name: str, say: Callable[[str], None]) -> None:
    """Each image carries the labels of the Open Container Initiative, and says its size here."""
    (told,) = json.loads(docker("image", "inspect", image(name)))
    labels = told["Config"]["Labels"]

    assert LABELS <= set(labels)
    assert ("Apache-2.0", VERSION) == (
        labels["org.opencontainers.image.licenses"],
        labels["org.opencontainers.image.version"],
    )
    assert "10001:10001" == told["Config"]["User"]
    say(f"{image(name)}: {told['Size'] / 1e6:.0f} MB with its base")


@pytest.mark.parametrize("name", FOLDERS)
def test_packages_are_those_of_the_lock(name: str, say: Callable[[str], None]) -> None:
    """Each distribution has the version that uv.lock says, and none is there that has no place."""
    found = distributions(name)

    assert {each: locked().get(each) for each in found} == found
    others = {"prefect-exporter", "prefect-instrumentation"} - OURS.get(name, set())
    assert not {"pytest", "ruff", "mypy", "uv", "pip", "hatchling", *others} & set(found)
    size = inside(name, f"du -sm {FOLDERS[name]}").split()[0]
    say(f"{image(name)}: {size} MB of that in {FOLDERS[name]}, {len(found)} packages")


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_else_is_inside(name: str) -> None:
    """No build tool, no source tree, no test of a library and no secret comes along."""
    programs = inside(name, f"for each in {' '.join(ABSENT)}; do command -v $each; done; true")
    left = inside(
        name,
        "find /opt /src /root /tmp /usr/local/bin -name .git -o -name uv.lock -o -name secrets"
        " -o -name '.env*' -o -name uv_cache.json -o -type d -name tests 2>/dev/null; true",
    )

    assert ("", "") == (programs, left)


@pytest.mark.parametrize("name", IMAGES)
def test_nobody_may_change_its_files(name: str) -> None:
    """No file is writable for all, nor for the image's user but its own folder of state."""
    for_all = inside(name, "find / -xdev -perm -0002 ! -type l ! -perm -1000")
    mine = inside(name, "find / -xdev -user 10001 -o -xdev -group 10001")

    assert "" == for_all
    assert STATES.get(name, []) == mine.split()


@pytest.mark.parametrize(
    ("name", "options"), [("exporter", EXPORTER), ("backup", BACKUP)], ids=("exporter", "backup")
)
def test_any_user_runs_it_read_only_until_sigterm(name: str, options: tuple[str, ...]) -> None:
    """It is healthy under a user without a name, without rights; on SIGTERM it ends with 0."""
    with running(name, *options, "--health-interval=1s", "--health-timeout=20s") as container:
        assert becomes(container, "healthy"), docker_run("logs", container).stderr
        docker("stop", "--time=20", container)

        ended = state(container)
        assert (0, False) == (ended["ExitCode"], ended["OOMKilled"])


def test_exporter_that_stands_still_is_unhealthy() -> None:
    """A process that lives but does not answer fails its health check."""
    health = ("--health-interval=1s", "--health-timeout=20s", "--health-retries=1")
    with running("exporter", *EXPORTER, *health) as container:
        assert becomes(container, "healthy")
        docker("kill", "--signal=STOP", container)
        assert becomes(container, "unhealthy")
        docker("kill", "--signal=CONT", container)
        assert becomes(container, "healthy")


def test_exporter_without_a_place_for_its_ledger_says_so() -> None:
    """Where it cannot write its state it ends with 3 and one line that names the path."""
    ran = docker_run("run", "--rm", *HARDENED, EXPORTER[0], image("exporter"))

    assert 3 == ran.returncode
    (line,) = ran.stderr.splitlines()
    assert "/var/lib/prefect-exporter" in line


def test_backup_with_a_bad_setting_says_so() -> None:
    """It ends with 2 and one line that names the variable."""
    schedule = "--env=PREFECT_BACKUP_SCHEDULE=at night"
    ran = docker_run("run", "--rm", *HARDENED, *BACKUP, schedule, image("backup"))

    assert 2 == ran.returncode
    (line,) = ran.stderr.splitlines()
    assert "PREFECT_BACKUP_SCHEDULE" in line


def test_backup_has_what_it_needs_for_any_user() -> None:
    """PostgreSQL makes a cluster for a user without a name, and ssh gets as far as the network."""
    database = "initdb --auth=trust --pgdata=/tmp/database >/dev/null"
    remote = "ssh -o BatchMode=yes nobody@127.0.0.1 2>&1 || true"
    script = f"prefect-backup --help >/dev/null && {database} && restic version && {remote}"
    told = docker("run", "--rm", *HARDENED, "--entrypoint=sh", image("backup"), "-c", script)

    assert told.startswith("restic ")
    assert "Connection refused" in told


def test_worker_has_flows_and_telemetry() -> None:
    """Flows, the web service and what observes them are importable for any user, read-only."""
    modules = "demo.flows, demo.stack, demo.orders, correlation.flows, etl.nightly, etl.replay"
    modules += ", etl.pretend_rates, trigger.runs, trigger.limiting"
    plugin = "[e.value for e in m.entry_points(group='prefect.plugins')]"
    code = f"import {modules}, importlib.metadata as m; print({plugin})"
    options = ("--rm", *HARDENED, "--env=OTEL_SDK_DISABLED=true", "--entrypoint=python")
    told = docker("run", *options, image("worker"), "-c", code)

    assert "['prefect_instrumentation.plugin']" == told.splitlines()[-1]


def test_two_builds_are_the_same() -> None:
    """The same lock and sources make the same files, byte for byte, compiled ones included."""
    again = f"again-{os.getpid()}"
    # To build, Compose needs no secret.
    settings = {"STACK_VERSION": again, "STACK_UID": "1", "STACK_GID": "1", "SECRETS_DIR": "/"}
    environment = os.environ | settings
    subprocess.run(
        ["docker", "compose", "build", "--quiet", "--no-cache", "exporter"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    name = f"prefect-observability/exporter:{again}"
    try:
        assert sums(image("exporter")) == sums(name)
    finally:
        docker("image", "rm", name)


def sums(name: str) -> str:
    """Return the digest of each file of the exporter's environment."""
    script = f"cd {FOLDERS['exporter']} && find . -type f -exec sha256sum {{}} + | sort -k 2"
    return docker("run", "--rm", "--network=none", "--entrypoint=sh", name, "-c", script)


@pytest.mark.parametrize("name", IMAGES)
def test_bill_of_materials_lists_every_package(name: str) -> None:
    """`scripts/sbom` writes valid CycloneDX with each distribution at its version, and Debian's."""
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "sbom", image(name)], check=True, capture_output=True
    )
    path = ROOT / "dist" / "sbom" / f"{name}-{VERSION}.cdx.json"
    bill = json.loads(path.read_text())

    listed = {(normal(each["name"]), each["version"]) for each in bill["components"]}
    assert set(distributions(name).items() if name in FOLDERS else ()) <= listed
    shown = inside(name, "dpkg-query --show --showformat='${Package} ${Version}\\n'")
    debian = (line.split() for line in shown.splitlines())
    assert {(normal(package), version) for package, version in debian} <= listed
    assert (name in FOLDERS) == any(each[0] == "python" for each in listed)
    assert image(name) == bill["metadata"]["component"]["bom-ref"]
