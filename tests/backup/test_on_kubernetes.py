"""What the chart makes of the backup works: its pods are run as a node would run them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from backup.lock import held
from backup.model import Job
from backup.state import Store
from backup_databases import ENCRYPTION_KEY, Databases
from backup_pods import Node, end, node
from backup_worlds import s3_server
from demo.processes import answers_at, free_port, wait_until
from helm.rendering import Object, named, render
from objects_server import ObjectsServer, serving

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

SECRET = "MARKER-of-a-secret"  # noqa: S105 - of what these tests make
PREFIX = "obs-prefect-observability-backup"
STATE = "/var/lib/prefect-backup"


@dataclass(frozen=True, slots=True)
class World:
    """The chart on a node."""

    node: Node
    objects: list[Object]
    metrics_url: str

    def pod(self, job: str) -> Object:
        """Return the pod of a CronJob."""
        found = named(self.objects, "CronJob", f"{PREFIX}-{job}")
        pod: Object = found["spec"]["jobTemplate"]["spec"]["template"]
        return pod

    def metric(self, name: str, **labels: str) -> float | None:
        """Return what the pod with the metrics tells of one series."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        for line in httpx.get(self.metrics_url).text.splitlines():
            if line.startswith(f"{name}{{") and all(each in line for each in wanted):
                return float(line.split()[-1])
        return None


@contextmanager
def installed(there: Mapping[str, Mapping[str, str]], /, **backup: Any) -> Iterator[World]:  # noqa: ANN401 - values of any kind
    """Install the chart with a backup, on a node where nothing runs yet.

    Args:
        there: The Secrets that are there already.
        backup: Values of the section; ``targets`` is not of it.
    """
    targets = backup.pop("targets", [])
    address = f"127.0.0.1:{free_port()}"
    listen = {"name": "PREFECT_BACKUP_LISTEN_ADDRESS", "value": address}
    usual = {"enabled": True, "repository": f"{STATE}/repository", "extraEnv": [listen]}
    objects = render(values={"targets": targets, "backup": usual | backup})
    passwords = {"repository-password": SECRET, "key-repository-password": f"{SECRET}-2"}
    with node({"prefect-backup": passwords, **there}, objects) as machine:
        yield World(machine, objects, f"http://{address}/metrics")


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Run the pod with the metrics."""
    deployment = named(world.objects, "Deployment", PREFIX)
    process = world.node.start(deployment["spec"]["template"])
    try:
        answers = answers_at(world.metrics_url)
        wait_until(lambda: process.poll() is not None or answers(), within=60, what="metrics")
        assert process.poll() is None, process.communicate()[0]
        yield
    finally:
        end(process)


@pytest.fixture(scope="module", name="world")
def _world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation that has made one backup, of a database, objects and a key, into S3."""
    filled, empty = (databases.postgres.prefect_url(name) for name in ("filled", "restored"))
    store = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET}
    authorization = "Basic YWRtaW46TUFSS0VS"
    with (
        serving(ObjectsServer(authorization=authorization)) as server,
        s3_server(tmp_path_factory.mktemp("s3")) as url,
        databases.copy("restored", "template1"),
        installed(
            {
                "prefect-db": {"connection-string": filled},
                "prefect-owner": {"connection-string": empty},
                "prefect-key": {"encryption-key": ENCRYPTION_KEY},
                "store": store,
            },
            targets=[{"url": server.url, "credentials": {"authString": {"value": "admin:MARKER"}}}],
            repository=f"s3:{url}/backups/prefect",
            keyRepository=f"{STATE}/keys",
            jitter="1s",
            secrets={
                "credentials": "store",
                "database": {"name": "prefect-db"},
                "encryptionKey": {"name": "prefect-key"},
            },
            restore={"enabled": True, "database": {"name": "prefect-owner"}},
        ) as world,
        watched(world),
    ):
        assert 0.0 == world.metric("prefect_backup_last_success_timestamp_seconds", kind="database")

        code, output = world.node.run(world.pod("run"))

        assert (0, False) == (code, "MARKER" in output), output
        yield world


@pytest.mark.parametrize("kind", ["database", "objects", "encryption_key"])
def test_pod_with_the_metrics_tells_of_a_job_of_another_pod(world: World, kind: str) -> None:
    """It reads anew what a job has written to their volume, without a restart."""
    assert 1.0 == world.metric("prefect_backup_last_run_success", kind=kind)
    assert 1.0 == world.metric("prefect_backup_snapshots", kind=kind)


@pytest.mark.parametrize("action", ["backup", "drill", "check"])
def test_next_run_is_that_of_the_cron_job(world: World, action: str) -> None:
    """The board's countdown is right though nobody plans anything in that pod."""
    at = world.metric("prefect_backup_next_run_timestamp_seconds", action=action)

    assert at is not None
    found = datetime.fromtimestamp(at, UTC)
    assert found > datetime.now(UTC)
    hour = {"backup": 1, "drill": 4, "check": 5}[action]
    assert (hour, 17) == (found.hour, found.minute)


def test_drill_restores_into_a_postgres_of_its_own(world: World) -> None:
    """As a user that the machine does not know, with a root that cannot be written to."""
    code, output = world.node.run(world.pod("drill"))

    assert 0 == code, output
    assert "a block decrypted with the key kept apart" in output
    for kind in ("database", "objects"):
        assert 1.0 == world.metric("prefect_backup_last_restore_success", kind=kind)


def test_check_reads_the_store(world: World) -> None:
    """With the credentials that are mounted as files."""
    code, output = world.node.run(world.pod("check"))

    assert 0 == code, output
    assert 1.0 == world.metric("prefect_backup_last_check_success", kind="database")


def test_restore_is_told_first_and_done_only_when_asked(world: World, databases: Databases) -> None:
    """A job as it is changes nothing and fails, so that nobody takes it for done."""
    pod = world.pod("restore")
    told, plan = world.node.run(pod)
    with psycopg.connect(databases.postgres.url("restored")) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        before = tables.fetchone()
    done, output = world.node.run(pod, args=[*pod["spec"]["containers"][0]["args"], "--yes"])
    with psycopg.connect(databases.postgres.url("restored")) as connection:
        runs = connection.execute("SELECT count(*) FROM flow_run").fetchone()

    assert (2, True) == (told, "Nothing was changed. Run it again with --yes" in plan), plan
    assert (0,) == before
    assert 0 == done, output
    assert (69,) == runs


def test_failure_fails_the_job_and_is_told() -> None:
    """Exit code 1 lets Kubernetes try again; the pod with the metrics says what failed."""
    address = f"postgresql+asyncpg://prefect:{SECRET}@127.0.0.1:{free_port()}/prefect"
    database = {"name": "prefect-db"}
    secrets = {"prefect-db": {"connection-string": address}}
    with (
        installed(secrets, secrets={"database": database}, jitter="0s") as world,
        watched(world),
    ):
        code, output = world.node.run(world.pod("run"))

        assert (1, False) == (code, SECRET in output), output
        assert 0.0 == world.metric("prefect_backup_last_run_success", kind="database")
        failed = {"action": "backup", "kind": "database", "reason": "source"}
        assert 1.0 == world.metric("prefect_backup_errors_total", **failed)


def test_second_job_waits_and_a_person_is_told() -> None:
    """The lock holds between pods: a CronJob's pod waits, and nothing counts as a failure."""
    with installed({}, jitter="0s") as world:
        pod, state = world.pod("run"), world.node.state / "state"
        lock = state / "job.lock"
        with held(state, Job.DRILL, now=lambda: datetime.now(UTC)):
            state.chmod(0o777)
            lock.chmod(0o666)
            code, output = world.node.run(pod, args=["run"])
            waiting = world.node.start(pod)
            try:
                wait_until(lambda: _opened(lock, waiting.pid), within=60, what="the second job")
                assert waiting.poll() is None
            except BaseException:
                end(waiting)
                raise
        ended = waiting.wait(60)
        waiting.communicate()

    assert (3, True) == (code, "the job drill is at work since" in output), output
    assert 0 == ended
    assert () == Store(state).read().records


def test_user_of_openshift_has_a_name() -> None:
    """Its group is root's, which the image's reader of names would pass over: it gets another."""
    ids = {"runAsUser": 1000680000, "runAsGroup": 0, "fsGroup": 1000680000}
    with installed({}, podSecurityContext=ids) as world:
        code, output = world.node.run(world.pod("run"), args=["settings"], named=False)
        (line,) = {each.read_text() for each in world.node.folder.glob("empty-*/passwd")}

    assert 0 == code, output
    assert "prefect-backup:x:1000680000:65534::/tmp:/bin/sh\n" == line


def _opened(path: Path, above: int) -> bool:
    """Return whether a process below another one has a file open, in whatever namespace."""
    for process in psutil.Process(above).children(recursive=True):
        # What a container begins with comes and goes meanwhile, and opens and closes files.
        with suppress(FileNotFoundError, ProcessLookupError):
            for handle in Path(f"/proc/{process.pid}/fd").iterdir():
                if handle.exists() and handle.samefile(path):
                    return True
    return False
