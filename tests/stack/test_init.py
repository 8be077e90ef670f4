"""deploy/init: what the volumes hold before anything starts, and which API is watched."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_INIT = Path(__file__).parents[2] / "deploy" / "init"


def _sh(script: Path, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(script), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]} | dict(env),
    )


@dataclass(frozen=True)
class _Volumes:
    """The folders that the init services see."""

    volumes: Path
    secrets: Path

    def init(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run init.sh as its container does."""
        owner = {"STACK_UID": str(os.getuid()), "STACK_GID": str(os.getgid())}
        arguments = (str(self.volumes), str(self.secrets))
        return _sh(_INIT / "init.sh", *arguments, env=owner | env)

    def server(self) -> None:
        """Do what the service init-server does."""
        (self.volumes / "probe" / ".server").touch()

    @property
    def exporter(self) -> str:
        """What the exporter is told."""
        return (self.volumes / "targets" / "exporter.yaml").read_text()

    @property
    def databases(self) -> tuple[str, str]:
        """What the backup and the restore are told."""
        names = ("backup_database", "restore_database")
        backup, restore = ((self.volumes / "targets" / name).read_text() for name in names)
        return backup, restore

    @property
    def key(self) -> Path:
        """Which key is kept as that of the secret blocks."""
        return (self.volumes / "targets" / "encryption_key").readlink()

    @property
    def probed(self) -> str:
        """The one address that the blackbox exporter is told."""
        [group] = json.loads((self.volumes / "targets" / "blackbox.json").read_text())
        assert group["labels"] == {"target": "default"}
        [address] = group["targets"]
        return str(address)


@pytest.fixture(name="volumes")
def _volumes(tmp_path: Path) -> _Volumes:
    for name in ("volumes/targets", "volumes/probe", "volumes/prometheus", "secrets"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("backup_database_url", "prefect_api_auth_string", "prefect_api_key"):
        (tmp_path / "secrets" / name).touch()
    return _Volumes(tmp_path / "volumes", tmp_path / "secrets")


def test_the_server_of_the_host_is_watched_by_default(volumes: _Volumes) -> None:
    """Without a credential there is none in the file."""
    done = volumes.init()

    assert (done.returncode, done.stderr) == (0, "")
    assert volumes.exporter == (
        'targets:\n  - name: default\n    url: "http://host.docker.internal:4200/api"\n'
        '    ui_url: "http://127.0.0.1:4200"\n'
    )
    assert volumes.probed == "http://host.docker.internal:4200/api/health"


@pytest.mark.parametrize("url", ["", "https://prefect.example.com/api"])
def test_pages_are_where_they_are_said_to_be(volumes: _Volumes, url: str) -> None:
    """PREFECT_UI_URL goes before what is known of the server."""
    volumes.init(PREFECT_API_URL=url, PREFECT_UI_URL="https://prefect.example.com")

    assert '    ui_url: "https://prefect.example.com"\n' in volumes.exporter


def test_cloud_is_watched_with_its_key(volumes: _Volumes) -> None:
    """The key is named by its file, and health is where Cloud has it."""
    (volumes.secrets / "prefect_api_key").write_text("pnu_x\n")
    url = "https://api.prefect.cloud/api/accounts/a-1/workspaces/b-2"

    volumes.init(PREFECT_API_URL=url)

    assert volumes.exporter == (
        f'targets:\n  - name: default\n    url: "{url}"\n'
        "    api_key_file: /run/secrets/prefect_api_key\n"
    )
    assert volumes.probed == "https://api.prefect.cloud/api/health"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_an_address_of_this_host_is_translated(volumes: _Volumes, host: str) -> None:
    """In a container it would be the container itself; one line says so."""
    done = volumes.init(PREFECT_API_URL=f"http://{host}:4201/api/")

    assert volumes.probed == "http://host.docker.internal:4201/api/health"
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://prefect/api",
        "prefect:4200/api",
        "http://",
        "http:///api",
        'http://prefect/"api',
        "http://prefect/api\n  - name: other",
        "http://user:password@prefect/api",
        "http://prefect/api?x=1",
        "http://pre fect/api",
        "http://$(id)/api",
    ],
)
def test_an_address_that_is_none_is_refused(volumes: _Volumes, url: str) -> None:
    """One line names the variable and shows nothing of it; no file is written."""
    done = volumes.init(PREFECT_API_URL=url)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "PREFECT_API_URL" in done.stderr
    assert "password@" not in done.stderr
    assert not list((volumes.volumes / "targets").iterdir())


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.2", "::"])  # noqa: S104  # what must be refused
def test_pages_without_a_login_stay_on_this_host(volumes: _Volumes, address: str) -> None:
    """Another BIND_ADDRESS ends the start with the way that has TLS."""
    done = volumes.init(BIND_ADDRESS=address)

    assert done.returncode == 2
    assert "docker-compose.tls.yml" in done.stderr


def test_a_stack_without_make_secrets_says_so(volumes: _Volumes) -> None:
    """The owner must be known before a volume is given away."""
    done = volumes.init(STACK_UID="")

    assert done.returncode == 2
    assert "make secrets" in done.stderr


def test_the_bundled_server_is_watched_where_it_runs(volumes: _Volumes) -> None:
    """With its own credential, though there is one for another server."""
    (volumes.secrets / "prefect_api_auth_string").write_text("other:one\n")
    volumes.server()
    volumes.init()

    assert volumes.exporter == (
        'targets:\n  - name: default\n    url: "http://prefect-proxy:4200/api"\n'
        '    ui_url: "http://127.0.0.1:4200"\n'
        "    auth_string_file: /run/secrets/prefect_auth_string\n"
    )
    assert volumes.probed == "http://prefect-proxy:4200/api/health"


def test_the_profile_counts_for_one_start(volumes: _Volumes) -> None:
    """Started again without it, the stack watches the server of the host."""
    volumes.server()
    volumes.init()
    volumes.init()

    assert volumes.probed == "http://host.docker.internal:4200/api/health"


def test_a_named_server_goes_before_the_bundled_one(volumes: _Volumes) -> None:
    """PREFECT_API_URL is what its owner asked for."""
    volumes.server()
    volumes.init(PREFECT_API_URL="http://prefect.example.com/api")

    assert volumes.probed == "http://prefect.example.com/api/health"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "host.docker.internal"])
def test_the_bundled_server_may_be_named_as_its_clients_do(volumes: _Volumes, host: str) -> None:
    """The host's clients reach it at a published port, which no container reaches."""
    volumes.server()
    volumes.init(PREFECT_API_URL=f"http://{host}:4321/api", PREFECT_PORT="4321")

    assert volumes.probed == "http://prefect-proxy:4200/api/health"


def test_the_bundled_database_is_backed_up(volumes: _Volumes) -> None:
    """By a role that reads, and restored by its owner: also where PREFECT_API_URL names another."""
    volumes.server()
    volumes.init(PREFECT_API_URL="https://prefect.example.com/api")

    assert volumes.databases == (
        "postgresql://prefect_backup@postgres:5432/prefect\n",
        "postgresql://prefect_owner@postgres:5432/prefect\n",
    )


def test_no_database_is_named_where_none_is_bundled(volumes: _Volumes) -> None:
    """Not that of an earlier start either."""
    volumes.server()
    volumes.init()
    volumes.init()

    assert volumes.databases == ("", "")


def test_backup_of_another_database_is_not_restored_into_the_bundled_one(
    volumes: _Volumes,
) -> None:
    """Where a restore goes must be said then; one line says where."""
    (volumes.secrets / "backup_database_url").write_text("postgresql://db.example.com/prefect\n")
    volumes.server()
    done = volumes.init()
    beside = volumes.init()

    [told] = done.stderr.splitlines()
    assert "secrets/restore_database_url" in told
    assert "" == volumes.databases[1] == beside.stderr


def test_database_of_the_bundled_server_may_be_elsewhere(volumes: _Volumes) -> None:
    """The override for an external PostgreSQL says where, and what a pooler wants after a role."""
    address = "db.example.com:6432/runs?sslmode=verify-full&sslrootcert=/run/secrets/ca.pem"
    volumes.server()
    volumes.init(POSTGRES_ADDRESS=address, POSTGRES_USER_SUFFIX=".project")

    assert volumes.databases == (
        f"postgresql://prefect_backup.project@{address}\n",
        f"postgresql://prefect_owner.project@{address}\n",
    )


def test_start_that_was_cut_short_is_made_good(volumes: _Volumes) -> None:
    """What a crash left half made keeps no later start from its end."""
    for name in ("exporter.yaml", "encryption_key", "backup_database"):
        (volumes.volumes / "targets" / f"{name}.new").symlink_to("/nowhere/at/all")
    volumes.server()

    done = volumes.init()

    assert (0, "") == (done.returncode, done.stderr)
    assert Path("/run/secrets/prefect_encryption_key") == volumes.key
    assert not list((volumes.volumes / "targets").glob("*.new"))


def test_key_that_is_kept_is_that_of_the_database(volumes: _Volumes) -> None:
    """Beside a server of one's own the bundled one's key, which is always there, opens nothing."""
    volumes.init()
    beside = volumes.key
    volumes.server()
    volumes.init()
    bundled = volumes.key
    (volumes.secrets / "backup_encryption_key").write_text("of a server elsewhere\n")
    volumes.server()
    volumes.init()

    mine = Path("/run/secrets/backup_encryption_key")
    assert [mine, Path("/run/secrets/prefect_encryption_key"), mine] == [
        beside,
        bundled,
        volumes.key,
    ]
