"""Repositories, with real restic: what is kept, what comes back, and what is said of each fault."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # has no types
import psutil
import pytest
from structlog.testing import capture_logs

from backup.errors import (
    BackupError,
    BadSetting,
    Busy,
    ClockWrong,
    NoSnapshot,
    NoSpace,
    RepositoryDamaged,
    RepositoryUnreachable,
    SourceUnavailable,
    WrongPassword,
)
from backup.model import Kind
from backup.programs import Command, run
from backup.repository import Repository
from backup.retention import Retention
from backup_worlds import (
    SECRET,
    ScriptedSource,
    answering,
    hasty,
    process_environment,
    repository_of,
    restic,
    s3_server,
    settings_of,
    small_disk,
)
from demo.processes import free_port, wait_until

pytestmark = pytest.mark.real

NEWEST = Retention(last=1)
HIDDEN = "hunter2-do-not-show"
RANDOM = "head -c {} /dev/urandom"


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Repository:
    repository = repository_of(settings_of(tmp_path))
    repository.ready()
    return repository


def content(repository: Repository, beginning: str | None = None) -> str:
    """Return what a snapshot of the database holds; of the newest one, unless told otherwise."""
    command = repository.dump_command(repository.find(Kind.DATABASE, id=beginning))
    return run(command.argv, env=command.env, timeout=60)


def packs(tmp_path: Path) -> list[Path]:
    """Return the files with the data, the largest first."""
    files = [file for file in (tmp_path / "repository" / "data").rglob("*") if file.is_file()]
    return sorted(files, key=lambda file: file.stat().st_size, reverse=True)


def stored(tmp_path: Path) -> int:
    """Return how many bytes of data are there, while restic gives its files their last names."""
    found = 0
    for file in (tmp_path / "repository" / "data").rglob("*"):
        with suppress(FileNotFoundError):
            found += file.stat().st_size if file.is_file() else 0
    return found


def locked(locks: Path) -> bool:
    """Return whether there is a lock; one that is still written has another name, and is none."""
    return any("-tmp-" not in each.name for each in locks.iterdir())


def test_what_a_command_writes_comes_back(repository: Repository) -> None:
    """A snapshot tells its kind, target, size and tags, and gives back every byte."""
    command = Command(argv=["printf", "%s", "exactly this"])
    tags = {"engine": "postgresql", "note": "with, comma"}

    kept = repository.save_command(command, kind=Kind.DATABASE, filename="dump", tags=tags)

    assert "exactly this" == content(repository)
    assert ("/dump", 12, False) == (kept.path, kept.size_bytes, kept.safety)
    assert {
        "kind": "database",
        "target": "default",
        "safety": "no",
        "engine": "postgresql",
        "note": "with_comma",
    } == kept.tags
    assert abs(datetime.now(UTC) - kept.time) < timedelta(minutes=1)


def test_folder_comes_back(repository: Repository, tmp_path: Path) -> None:
    """All files of a folder come back, and a person is told how far it is."""
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "deep" / "file").write_text("x" * 10_000)
    told: list[tuple[int, int]] = []

    kept = repository.save_folder(tmp_path / "from", kind=Kind.VOLUMES, tags={})
    repository.fetch_folder(kept, tmp_path / "to", lambda done, total: told.append((done, total)))

    assert "x" * 10_000 == (tmp_path / "to" / "deep" / "file").read_text()
    assert (10_000, 10_000) == told[-1]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo half; echo 'pg_dump: error: connection refused' >&2; exit 1",
            "connection refused",
        ),
        ("echo half; kill -9 $$", "signal: killed"),
        ("exit 3", "exit status 3"),
    ],
    ids=["fails in the middle", "is killed", "says nothing"],
)
def test_failed_command_leaves_no_snapshot(repository: Repository, script: str, told: str) -> None:
    """Half a dump is none, and the reason is the command's own."""
    with pytest.raises(SourceUnavailable, match=told):
        ScriptedSource(script).save(repository)

    assert [] == repository.everything()


def test_missing_folder_is_an_error(repository: Repository, tmp_path: Path) -> None:
    """A folder that is not there makes no empty snapshot."""
    with pytest.raises(BackupError, match="do not exist"):
        repository.save_folder(tmp_path / "none", kind=Kind.VOLUMES, tags={})

    assert [] == repository.everything()


def test_folder_that_cannot_be_read_whole_leaves_no_snapshot(repository: Repository) -> None:
    """A folder with a file that nobody may read is not kept in part."""
    with pytest.raises(SourceUnavailable, match="flush"):
        repository.save_folder(Path("/proc/sys/net/ipv4/route"), kind=Kind.VOLUMES, tags={})

    assert [] == repository.everything()


def test_snapshot_is_found_by_id_and_time(repository: Repository) -> None:
    """The newest, the newest of a time, and one by the beginning of its id; else an error."""
    first = ScriptedSource("echo 1").save(repository)
    second = ScriptedSource("echo 2").save(repository)

    assert second == repository.find(Kind.DATABASE)
    assert first == repository.find(Kind.DATABASE, id=first.id[:8])
    assert first == repository.find(Kind.DATABASE, at=first.time)
    with pytest.raises(NoSnapshot, match="no snapshot of kind database of"):
        repository.find(Kind.DATABASE, at=first.time - timedelta(seconds=1))
    with pytest.raises(NoSnapshot, match="no snapshot begins with 'ffffffff'"):
        repository.find(Kind.DATABASE, id="ffffffff")
    with pytest.raises(NoSnapshot):
        repository.find(Kind.DATABASE, id="")
    with pytest.raises(NoSnapshot):
        repository.find(Kind.OBJECTS)


def test_targets_have_series_of_their_own(repository: Repository) -> None:
    """What is forgotten for one target is not for another."""
    other = repository.of_target("other")
    for _ in range(2):
        ScriptedSource("echo x").save(repository)
        ScriptedSource("echo x").save(other)

    repository.forget(NEWEST, Kind.DATABASE)

    assert (1, 2) == tuple(len(each.snapshots(Kind.DATABASE)) for each in (repository, other))


def test_wrong_password_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    """The error names the password, and what is there stays as it is."""
    ScriptedSource("echo 1").save(repository)
    before = sorted(file for file in (tmp_path / "repository").rglob("*"))
    file = repository.restic.password_file
    right = file.read_text()
    file.write_text("another")

    with pytest.raises(WrongPassword, match="made with another password"):
        repository.ready()

    assert before == sorted(file for file in (tmp_path / "repository").rglob("*"))
    file.write_text(right)
    assert "1\n" == content(repository)


@pytest.mark.parametrize("text", [None, "", " \n"], ids=["missing", "empty", "blank"])
def test_password_that_is_none_is_told(tmp_path: Path, text: str | None) -> None:
    """Without a password there is no repository, and the setting is named."""
    settings = settings_of(tmp_path)
    settings.password_file.unlink()
    if text is not None:
        settings.password_file.write_text(text)

    with pytest.raises(BadSetting, match=r"^PREFECT_BACKUP_PASSWORD_FILE names .*/password"):
        Repository.of(settings)


def test_credential_that_restic_does_not_read_is_told(tmp_path: Path) -> None:
    """A file with a wrong name is no credential, which its owner should know."""
    settings = settings_of(tmp_path)
    (settings.credentials_dir / "AWS_SECRET_KEY").write_text("x")

    with pytest.raises(BadSetting, match="did you mean AWS_SECRET_ACCESS_KEY"):
        repository_of(settings).ready()


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


def in_store(tmp_path: Path, url: str, bucket: str = "backups") -> Repository:
    """Return a repository in a bucket."""
    settings = settings_of(tmp_path, REPOSITORY=f"s3:{url}/{bucket}/prefect")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (settings.credentials_dir / name).write_text(f"{HIDDEN}\n")
    return repository_of(settings)


def soon_given_up(repository: Repository) -> Repository:
    """Return the same repository, which does not wait long for a store that does not answer."""
    return replace(repository, restic=replace(repository.restic, probe_seconds=10))


def test_store_keeps_what_a_disk_does(tmp_path: Path, store: str) -> None:
    """In an S3 bucket: made, kept, listed, forgotten, checked, and brought back."""
    repository = in_store(tmp_path, store)
    repository.ready()
    for number in range(3):
        ScriptedSource(f"echo {number}").save(repository)

    repository.forget(NEWEST, Kind.DATABASE)
    repository.check(100, 0)

    assert "2\n" == content(repository)
    assert 1 == len(repository.everything())
    assert 0 < repository.size_bytes()


def test_credentials_are_seen_by_restic_alone(tmp_path: Path, store: str) -> None:
    """The command that is kept finds no credential, nor the password's file, in its environment."""
    repository = in_store(tmp_path, store)
    repository.ready()
    source = ScriptedSource("env; cat /proc/$PPID/cmdline | tr '\\0' ' '", env={"PGHOST": "there"})

    source.save(repository)

    shown = content(repository)
    assert "PGHOST=there" in shown
    assert "--stdin-from-command" in shown
    for word in (HIDDEN, SECRET, "AWS_", "RESTIC_"):
        assert word not in shown.replace("-u AWS_", "-u ").replace("-u RESTIC_", "-u ")


def test_store_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    """It is said within seconds, with the reason."""
    began = time.monotonic()

    with pytest.raises(RepositoryUnreachable, match="connection refused") as caught:
        soon_given_up(in_store(tmp_path, f"http://127.0.0.1:{free_port()}")).ready()

    assert time.monotonic() - began < 30
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("AccessDenied", "Access Denied.", RepositoryUnreachable),
        (
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            RepositoryUnreachable,
        ),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the server's time is too large.",
            ClockWrong,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_refusal_is_passed_on(
    tmp_path: Path, code: str, message: str, kind: type[BackupError]
) -> None:
    """What the store says is what a person reads."""
    with answering(403, code, message) as url, pytest.raises(kind) as caught:
        soon_given_up(in_store(tmp_path, url)).ready()

    assert message.rstrip(".") in str(caught.value)


def test_damage_is_found(repository: Repository, tmp_path: Path) -> None:
    """Bytes that were flipped in a pack are found by a check that reads it, and by no other."""
    ScriptedSource(RANDOM.format(3_000_000)).save(repository)
    repository.check(100, 0)
    pack = packs(tmp_path)[0]
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 0xFF]))

    with pytest.raises(RepositoryDamaged, match="contains"):
        repository.check(100, 0)


def test_missing_pack_is_found_without_reading(repository: Repository, tmp_path: Path) -> None:
    """A file that is gone is found by every check, and by whoever wants it back."""
    ScriptedSource(RANDOM.format(1_000_000)).save(repository)
    packs(tmp_path)[0].unlink()

    with pytest.raises(RepositoryDamaged):
        repository.check(1, 0)


def test_checks_read_all_over_time(repository: Repository, tmp_path: Path) -> None:
    """Of successive checks exactly those fail that read the damaged part, and one does."""
    for _ in range(4):
        ScriptedSource(RANDOM.format(50_000)).save(repository)
    pack = packs(tmp_path)[0]
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(100)
        file.write(b"damaged")

    found = 0
    for part in range(4):
        try:
            repository.check(25, part)
        except RepositoryDamaged:
            found += 1

    assert 1 == found


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    """It is told, what was there stays whole, and goes on once there is room."""
    with small_disk(tmp_path, "8m") as disk:
        settings = settings_of(tmp_path, REPOSITORY=str(disk / "repository"))
        repository = repository_of(settings)
        repository.ready()
        ScriptedSource("echo before").save(repository)
        with pytest.raises(NoSpace, match="no space left"):
            ScriptedSource(RANDOM.format(30_000_000)).save(repository)
        assert "before\n" == content(repository)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        repository.ready()
        ScriptedSource("echo after").save(repository)
        repository.forget(Retention(last=5), Kind.DATABASE)
        repository.check(100, 0)

        assert 2 == len(repository.snapshots(Kind.DATABASE))


UPLOAD = """
import sys
from pathlib import Path
from backup_worlds import ScriptedSource, repository_of, settings_of
repository = repository_of(settings_of(Path(sys.argv[1])))
print("begins", flush=True)
ScriptedSource("head -c 50000000 /dev/urandom; sleep 600").save(repository)
"""


def test_kill_during_upload_leaves_nothing_stuck(repository: Repository, tmp_path: Path) -> None:
    """After kill -9, restic is gone too, older snapshots are whole, and the next run succeeds."""
    ScriptedSource("echo before").save(repository)
    size = stored(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOAD, str(tmp_path)], env=process_environment(tmp_path)
    )
    with process:
        wait_until(
            lambda: stored(tmp_path) > size + 16_000_000,
            within=60,
            what="an upload",
        )
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    programs = [each for each in family if _name(each) == "restic"]
    wait_until(
        lambda: not any(psutil.pid_exists(each.pid) for each in programs), within=60, what="its end"
    )
    locks = list((tmp_path / "repository" / "locks").iterdir())

    repository.ready()
    ScriptedSource("echo after").save(repository)
    repository.forget(Retention(last=5), Kind.DATABASE)
    repository.check(100, 0)

    assert 1 == len(locks)
    assert [] == list((tmp_path / "repository" / "locks").iterdir())
    kept = repository.snapshots(Kind.DATABASE)
    assert ["before\n", "after\n"] == [content(repository, each.id) for each in kept]


def test_repository_that_is_gone_is_not_begun_anew(repository: Repository, tmp_path: Path) -> None:
    """It is told with what to do, nothing is made in its place, and it can be brought back."""
    ScriptedSource("echo before").save(repository)
    folder = tmp_path / "repository"
    folder.rename(tmp_path / "away")
    # As of a share that is not mounted.
    folder.mkdir()

    with pytest.raises(RepositoryDamaged, match=f"was at {folder} is gone: mount it") as caught:
        repository.ready()

    assert f"docker compose exec backup rm {tmp_path}/state/repository.json" in str(caught.value)
    assert [] == list(folder.iterdir())
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    repository.ready()
    assert "before\n" == content(repository)


def test_new_repository_is_begun_by_removing_a_file(repository: Repository, tmp_path: Path) -> None:
    """What the message says works, and then a loss is told again."""
    for _ in range(2):
        shutil.rmtree(tmp_path / "repository")
        with pytest.raises(RepositoryDamaged, match="is gone"):
            repository.ready()
        (tmp_path / "state" / "repository.json").unlink()
        repository.ready()

    assert repository.is_there()


def test_repository_at_another_address_is_made_and_told(
    repository: Repository, tmp_path: Path
) -> None:
    """Another address is another repository, and the log names where the old one is."""
    other = repository_of(settings_of(tmp_path, REPOSITORY=f"{tmp_path}/other"))

    with capture_logs() as logs:
        repository.ready()
        other.ready()
        other.ready()

    [told] = logs
    assert ("repository.another", "warning") == (told["event"], told["log_level"])
    assert told["message"].endswith(f"used before, at {tmp_path}/repository")
    assert other.is_there()


def test_repository_that_was_exchanged_is_told(repository: Repository, tmp_path: Path) -> None:
    """Another one at the same address works, and the log says that it is another one."""
    shutil.rmtree(tmp_path / "repository")
    restic(repository, "init")

    with capture_logs() as logs:
        repository.ready()
        repository.ready()

    assert ["repository.another"] == [each["event"] for each in logs]


def test_repository_that_moved_is_the_same(tmp_path: Path) -> None:
    """One that was copied elsewhere, and is named there, needs no word."""
    repository_of(settings_of(tmp_path)).ready()
    (tmp_path / "repository").rename(tmp_path / "moved")
    moved = repository_of(settings_of(tmp_path, REPOSITORY=f"{tmp_path}/moved"))

    with capture_logs() as logs:
        moved.ready()

    assert [] == logs


def test_memory_that_cannot_be_written_stops_no_backup(tmp_path: Path) -> None:
    """A full disk is told, and the repository is as ready as without it."""
    repository = repository_of(settings_of(tmp_path))
    (tmp_path / "state" / "repository.json.new").mkdir()

    with capture_logs() as logs:
        repository.ready()

    assert ["state.not_written"] == [each["event"] for each in logs]
    assert repository.is_there()


def test_emptied_bucket_is_not_begun_anew(tmp_path: Path, store: str) -> None:
    """A store that answers, and has nothing of what it had, is told as a loss."""
    repository = in_store(tmp_path, store, "emptied")
    repository.ready()
    client = boto3.client(
        "s3",
        endpoint_url=store,
        region_name="us-east-1",
        aws_access_key_id=HIDDEN,
        aws_secret_access_key=HIDDEN,
    )
    for each in client.list_objects_v2(Bucket="emptied")["Contents"]:
        client.delete_object(Bucket="emptied", Key=each["Key"])

    with pytest.raises(RepositoryDamaged, match="is gone"):
        repository.ready()


@pytest.mark.parametrize("length", [0, 20, 100])
def test_config_that_is_cut_is_damage(repository: Repository, tmp_path: Path, length: int) -> None:
    """A repository whose first file is not whole is damaged, whatever is left of it."""
    config = tmp_path / "repository" / "config"
    config.chmod(0o600)
    config.write_bytes(config.read_bytes()[:length])

    with pytest.raises(RepositoryDamaged):
        repository.ready()


def test_config_that_is_gone_is_damage_at_first_too(repository: Repository, tmp_path: Path) -> None:
    """Where nothing is remembered, what is left of a repository is not taken for none."""
    (tmp_path / "state" / "repository.json").unlink()
    (tmp_path / "repository" / "config").unlink()

    with pytest.raises(RepositoryDamaged, match="already contains keys"):
        repository.ready()


def test_who_only_reads_leaves_locks_alone(repository: Repository, tmp_path: Path) -> None:
    """Listing, looking and showing wait for nobody's lock, and remove none, live or left behind."""
    kept = ScriptedSource("echo 1").save(repository)
    locks = tmp_path / "repository" / "locks"
    left_behind(repository, locks)

    assert [kept] == repository.snapshots(Kind.DATABASE)
    assert 2 == len(repository.everything())
    command = repository.dump_command(repository.find(Kind.DATABASE), lock=False)
    assert "1\n" == run(command.argv, env=command.env, timeout=60)

    assert 1 == len(list(locks.iterdir()))
    repository.ready()
    assert [] == list(locks.iterdir())


def left_behind(repository: Repository, locks: Path) -> None:
    """Kill restic while it has the repository for itself."""
    argv = repository.restic.argv("check", "--read-data", "--limit-download=1")
    environment = {"PATH": os.environ["PATH"], **repository.restic.environment()}
    ScriptedSource(RANDOM.format(1_000_000)).save(repository.of_target("other"))
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as other:
        wait_until(lambda: locked(locks), within=60, what="a lock")
        other.kill()


def test_space_comes_back_from_safety_snapshots(repository: Repository, tmp_path: Path) -> None:
    """Where nothing else is forgotten, the data of an old safety snapshot goes all the same."""
    aged_safety(repository, tmp_path)
    before = sum(file.stat().st_size for file in packs(tmp_path))

    repository.forget(NEWEST, Kind.DATABASE)

    assert sum(file.stat().st_size for file in packs(tmp_path)) < before - 900_000


def test_nothing_is_pruned_where_nothing_is_forgotten(
    repository: Repository, tmp_path: Path
) -> None:
    """A night that forgets nothing reads no index: what nobody needs waits for one that does."""
    lost = ScriptedSource(RANDOM.format(1_000_000)).save(repository)
    restic(repository, "forget", lost.id)
    before = packs(tmp_path)

    repository.forget(NEWEST, Kind.DATABASE)

    assert before == packs(tmp_path)


def aged_safety(repository: Repository, tmp_path: Path) -> None:
    """Add two safety snapshots, of which the older one is large and is to go."""
    for days, size in ((30, 1_000_000), (1, 10)):
        (tmp_path / "aside").write_bytes(random.Random(days).randbytes(size))
        at = datetime.now(UTC) - timedelta(days=days)
        tags = f"kind=database,target={repository.target},safety=yes"
        time_ = f"--time={at.astimezone():%Y-%m-%d %H:%M:%S}"
        restic(repository, "backup", time_, f"--tag={tags}", str(tmp_path / "aside"))


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def test_other_machine_is_waited_for(repository: Repository, tmp_path: Path) -> None:
    """While another one has the repository, a job that needs it alone waits, and then says so."""
    ScriptedSource("echo 1").save(repository)
    argv = repository.restic.argv("backup", "--stdin", "--tag=elsewhere")
    environment = {"PATH": os.environ["PATH"], **repository.restic.environment()}
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE) as other:
        locks = tmp_path / "repository" / "locks"
        wait_until(lambda: locked(locks), within=60, what="a lock")
        with pytest.raises(Busy, match="the repository is locked by another job"):
            repository.forget(NEWEST, Kind.DATABASE)
        # Two backups at once are no trouble.
        ScriptedSource("echo 2").save(repository)
        patient = replace(repository, restic=replace(repository.restic, patience_seconds=60))
        assert other.stdin is not None
        other.stdin.close()
        patient.forget(NEWEST, Kind.DATABASE)

    assert "2\n" == content(repository)


def test_repository_that_another_has_for_itself_is_there(
    repository: Repository, tmp_path: Path
) -> None:
    """A long prune elsewhere is no reason to say that nothing answers."""
    ScriptedSource(RANDOM.format(1_000_000)).save(repository)
    argv = repository.restic.argv("check", "--read-data", "--limit-download=10")
    environment = {"PATH": os.environ["PATH"], **repository.restic.environment()}
    locks = tmp_path / "repository" / "locks"
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as other:
        try:
            wait_until(lambda: locked(locks), within=60, what="a lock")
            assert repository.is_there()
            assert any(locks.iterdir())
        finally:
            other.kill()


def test_keys_lie_apart(tmp_path: Path) -> None:
    """The key's repository has a place and a password of its own."""
    settings = settings_of(tmp_path)
    main, keys = Repository.of(settings), hasty(Repository.of_keys(settings))
    keys.ready()
    ScriptedSource("echo key", kind=Kind.ENCRYPTION_KEY).save(keys)

    assert not main.is_there()
    with pytest.raises(WrongPassword):
        replace(keys, restic=replace(keys.restic, password_file=settings.password_file)).is_there()


def test_snapshots_of_others_are_left_alone(repository: Repository, tmp_path: Path) -> None:
    """What a person keeps in the same repository is neither listed nor forgotten."""
    (tmp_path / "mine").write_text("mine")
    restic(repository, "backup", "--tag=kind=something", str(tmp_path / "mine"))
    restic(repository, "backup", str(tmp_path / "mine"))
    ScriptedSource("echo 1").save(repository)

    repository.forget(NEWEST, Kind.DATABASE)

    assert 1 == len(repository.everything())
    assert 3 == len(json.loads(restic(repository, "snapshots", "--json")))


def test_random_bytes_come_back(repository: Repository, tmp_path: Path) -> None:
    """Several megabytes are the same afterwards, byte for byte."""
    data = random.Random(8).randbytes(5_000_000)
    (tmp_path / "data").write_bytes(data)
    ScriptedSource(f"cat {tmp_path}/data").save(repository)
    command = repository.dump_command(repository.find(Kind.DATABASE))

    with subprocess.Popen(
        command.argv, env={"PATH": os.environ["PATH"], **command.env}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert data == process.stdout.read()
