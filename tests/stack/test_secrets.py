"""scripts/secrets: what `make secrets` writes, and what it never touches."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

_EMPTY = {
    "backup_database_url",
    "backup_encryption_key",
    "postgres_ca.pem",
    "prefect_api_auth_string",
    "prefect_api_key",
    "restore_database_url",
    "tls.pem",
}


@pytest.fixture(name="clone")
def _clone(tmp_path: Path) -> Path:
    """A folder with what the script needs of the repository."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(_ROOT / "scripts" / "secrets", tmp_path / "scripts")
    shutil.copy(_ROOT / ".env.example", tmp_path)
    return tmp_path


def _run(clone: Path, *arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clone / "scripts" / "secrets"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        user=user,
    )


def _values(clone: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (clone / "secrets").iterdir() if file.is_file()}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _setting(clone: Path, name: str) -> list[str]:
    lines = (clone / ".env").read_text().splitlines()
    return [line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")]


def test_every_secret_of_the_compose_files_is_made(clone: Path) -> None:
    """No file that a compose file mounts is missing after the first run."""
    _run(clone)

    text = "".join(
        (_ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.tls.yml")
    )
    mounted = set(re.findall(r"SECRETS_DIR[^}]*}/([\w.]+)", text))
    assert set() == mounted - {path.name for path in (clone / "secrets").iterdir()}


def test_files_are_for_their_owner_alone(clone: Path) -> None:
    """The folder has mode 700 and each file 600, whatever the umask."""
    _run(clone)

    assert _mode(clone / "secrets") == 0o700
    files = {file for file in (clone / "secrets").iterdir() if file.is_file()}
    assert {0o600} == {_mode(file) for file in files}
    folders = [folder for folder in (clone / "secrets").iterdir() if folder.is_dir()]
    assert {"alerts": 0o700, "backup": 0o700} == {path.name: _mode(path) for path in folders}


def test_only_what_nobody_else_can_know_is_empty(clone: Path) -> None:
    """Every other file holds something, so no part starts without a password."""
    _run(clone)

    assert _EMPTY == {name for name, value in _values(clone).items() if not value}


def test_values_are_random(clone: Path) -> None:
    """Two installations share no value, and no two files of one do."""
    _run(clone)
    first = _values(clone)
    shutil.rmtree(clone / "secrets")
    _run(clone)

    passwords = [value for name, value in first.items() if name.endswith("_password")]
    assert len(passwords) == len(set(passwords))
    assert all(len(password) >= 40 for password in passwords)
    assert all(_values(clone)[name] != value for name, value in first.items() if value)


def test_values_fit_together(clone: Path) -> None:
    """What is derived from a password is derived from the one beside it."""
    _run(clone)
    values = {name: value.strip() for name, value in _values(clone).items()}

    exporter = json.loads(values["redis_exporter_password"])["redis://exporter@redis:6379"]
    assert values["prefect_auth_string"] == f"admin:{values['prefect_password']}"
    assert len(base64.urlsafe_b64decode(values["prefect_encryption_key"])) == 32
    for password in (values["redis_password"], exporter):
        assert hashlib.sha256(password.encode()).hexdigest() in values["redis_users.acl"]
    orders, key = values["demo_redis_password"], values["trigger_api_key"]
    assert values["demo_redis_url"] == f"redis://etl:{orders}@demo-redis:6379/0"
    assert hashlib.sha256(orders.encode()).hexdigest() in values["demo_redis_users.acl"]
    assert values["trigger_api_keys"] == f"demo:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def test_nothing_is_printed_that_is_secret(clone: Path) -> None:
    """It names files, and shows no value."""
    done = _run(clone)

    shown = done.stdout + done.stderr
    assert "grafana_admin_password" in shown
    assert not [v for v in _values(clone).values() if v.strip() and v.strip() in shown]


def test_a_second_run_changes_nothing(clone: Path) -> None:
    """It can be run at any time."""
    _run(clone)
    before = _values(clone), (clone / ".env").read_text()

    done = _run(clone)

    assert before == (_values(clone), (clone / ".env").read_text())
    assert done.stdout == "secrets: all there, in ./secrets\n"


def test_what_is_there_stays(clone: Path) -> None:
    """A value of one's own is kept, and what can be derived from it is."""
    (clone / "secrets").mkdir()
    (clone / "secrets" / "prefect_auth_string").write_text("alice:correct horse\n")
    (clone / "secrets" / "prefect_api_key").write_text("pnu_mine")

    _run(clone)

    values = _values(clone)
    assert values["prefect_auth_string"] == "alice:correct horse\n"
    assert values["prefect_password"] == "correct horse\n"  # noqa: S105  # the test's own
    assert values["prefect_api_key"] == "pnu_mine"


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("backup_password", {"backup_password"}),
        ("prefect_auth_string", {"prefect_auth_string", "prefect_password"}),
        ("prefect_password", {"prefect_auth_string", "prefect_password"}),
        ("redis_password", {"redis_password", "redis_users.acl"}),
        ("redis_exporter_password", {"redis_exporter_password", "redis_users.acl"}),
        ("tls_password", {"tls_password", "tls_users.cfg"}),
        (
            "demo_redis_password",
            {"demo_redis_password", "demo_redis_url", "demo_redis_users.acl"},
        ),
        ("trigger_api_key", {"trigger_api_key", "trigger_api_keys"}),
    ],
)
def test_rotation_changes_one_and_what_derives_from_it(
    clone: Path, name: str, changed: set[str]
) -> None:
    """No other file is touched."""
    _run(clone)
    before = _values(clone)

    done = _run(clone, "--rotate", name)

    after = _values(clone)
    assert (done.returncode, done.stderr) == (0, "")
    assert changed == {key for key in before if before[key] != after[key]}
    assert after["redis_users.acl"].count("\n") == 3


@pytest.mark.parametrize(
    "name",
    [
        "backup_key_repository_password",
        "backup_repository_password",
        "prefect_encryption_key",
        "prefect_api_key",
        "no_such",
        "../x",
    ],
)
def test_what_cannot_be_rotated_is_refused(clone: Path, name: str) -> None:
    """The keys of stored blocks and of backups, what is yours, and what does not exist."""
    _run(clone)
    before = _values(clone)

    done = _run(clone, "--rotate", name)

    assert done.returncode == 2
    assert done.stderr.startswith("secrets: ")
    assert before == _values(clone)


def test_lines_of_env_stay(clone: Path) -> None:
    """Only the four variables are set, where they stand or at the end."""
    (clone / ".env").write_text("# mine\nSTACK_UID=\nGRAFANA_PORT=3001\nlast=1")

    _run(clone)

    lines = (clone / ".env").read_text().splitlines()
    assert lines[0] == "# mine"
    assert lines[2:4] == ["GRAFANA_PORT=3001", "last=1"]
    assert _setting(clone, "SECRETS_DIR") == ["./secrets"]
    names = ("STACK_UID", "STACK_GID", "STACK_ID")
    assert all(len(_setting(clone, name)) == 1 for name in names)


def test_installations_are_told_apart(clone: Path, tmp_path: Path) -> None:
    """Each has an id by chance, for good: a second run and a rotation leave it."""
    _run(clone)
    [mine] = _setting(clone, "STACK_ID")
    _run(clone)
    _run(clone, "--rotate", "backup_password")
    kept = _setting(clone, "STACK_ID")
    (tmp_path / ".env").unlink()
    _run(clone)

    assert re.fullmatch("[0-9a-f]{8}", mine)
    assert [mine] == kept
    assert [mine] != _setting(clone, "STACK_ID")


def test_the_name_of_the_backups_host_is_of_the_installation() -> None:
    """By it restic tells whose lock is left behind; both services are of one installation."""
    text = (_ROOT / "docker-compose.yml").read_text()

    names = re.findall(r"^    hostname: (?:&backup-hostname )?(\S+)$", text, re.MULTILINE)
    assert ["prefect-backup-${STACK_ID:-local}", "*backup-hostname"] == names


def test_a_folder_of_ones_own_is_used(clone: Path) -> None:
    """SECRETS_DIR of .env says where the files are."""
    (clone / ".env").write_text('SECRETS_DIR="./elsewhere"\n')

    _run(clone)

    assert (clone / "elsewhere" / "postgres_password").exists()
    assert not (clone / "secrets").exists()


def test_containers_run_as_who_owns_the_files(clone: Path) -> None:
    """An ordinary user owns them; where root runs it, nobody in particular does, but never root."""
    _run(clone)

    uid = 10001 if os.geteuid() == 0 else os.geteuid()
    assert _setting(clone, "STACK_UID") == [str(uid)]
    assert {uid} == {file.stat().st_uid for file in (clone / "secrets").iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_no_root(clone: Path) -> None:
    """It works for an account that may do nothing special."""
    # pytest keeps its folders to root.
    for folder in (clone, *clone.parents[:2]):
        folder.chmod(0o755)
    shutil.chown(clone, 12345)

    done = _run(clone, user=12345)

    assert (done.returncode, done.stderr) == (0, "")
    assert _setting(clone, "STACK_UID") == ["12345"]
    assert {12345} == {file.stat().st_uid for file in (clone / "secrets").iterdir()}


def test_a_symbolic_link_is_refused(clone: Path) -> None:
    """Neither a folder nor a file may lead elsewhere."""
    (clone / "elsewhere").mkdir()
    (clone / "secrets").symlink_to("elsewhere")

    done = _run(clone)

    assert done.returncode == 2
    assert "is a symbolic link" in done.stderr
    assert not list((clone / "elsewhere").iterdir())


def test_a_file_that_is_a_link_is_refused(clone: Path) -> None:
    """Nothing is written through it."""
    (clone / "secrets").mkdir()
    (clone / "mine").write_text("")
    (clone / "secrets" / "postgres_password").symlink_to(clone / "mine")

    done = _run(clone)

    assert done.returncode == 2
    assert (clone / "mine").read_text() == ""


def test_what_others_could_read_is_mended(clone: Path) -> None:
    """Modes that somebody else has loosened are set again."""
    _run(clone)
    (clone / "secrets").chmod(0o755)
    loose = [clone / "secrets" / name for name in ("prefect_api_key", "backup/ssh_key")]
    for path in loose:
        path.touch()
        path.chmod(0o644)

    _run(clone)

    assert _mode(clone / "secrets") == 0o700
    assert [0o600, 0o600] == [_mode(path) for path in loose]


def test_a_certificate_to_try_is_for_the_named_host(clone: Path) -> None:
    """It holds its key too, and an existing one is not replaced."""
    _run(clone, "--self-signed", "stack.example.com")
    pem = (clone / "secrets" / "tls.pem").read_text()
    again = _run(clone, "--self-signed", "stack.example.com")

    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName"],
        check=True,
        capture_output=True,
        text=True,
        input=pem,
    ).stdout
    assert "DNS:stack.example.com" in shown
    assert "PRIVATE KEY" in pem
    assert again.returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [["--rotate"], ["--rotate", ""], ["--bad"], ["x"], ["--self-signed", "a b"]],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line(clone: Path, arguments: list[str]) -> None:
    """It says what may be given, and writes no secret."""
    done = _run(clone, *arguments)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_example_gives_no_secret() -> None:
    """No line of .env.example sets a password or a key."""
    lines = [line for line in (_ROOT / ".env.example").read_text().splitlines() if "=" in line]

    names = [line.lstrip("#").split("=")[0] for line in lines]
    assert not [n for n in names if re.search(r"PASSWORD|SECRET_|_KEY$|TOKEN|AUTH_STRING$", n)]


def test_the_example_explains_every_variable() -> None:
    """Each variable of the compose files stands in .env.example."""
    text = "".join(
        (_ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.tls.yml")
    )
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text)) - {
        "COMPOSE_PROJECT_NAME",  # Compose's own
        "CREATED",  # of whoever builds the images
        "REVISION",
    }

    example = (_ROOT / ".env.example").read_text()
    explained = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert set() == used - explained
