"""Starts a Prefect server on a restored database and asks it what its users would."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import SecretStr

from backup.background import Server, running
from backup.errors import ProgramFailed, Unverified
from backup.model import Manifest

_USER = "drill"
_READY_SECONDS = 180.0
_ASK_SECONDS = 60.0
_LISTED = 5
_LOG_BYTES = 1024 * 1024


class TrialServer:
    """A Prefect server that works on what was restored.

    Args:
        log: What it writes.
    """

    def __init__(self, api: httpx.Client, log: Path) -> None:
        self._api = api
        self._log = log

    def check_runs(self, expected: Manifest) -> None:
        """Make sure that it counts all flow runs, and can list some.

        Raises:
            Unverified: It does not.
        """
        number, dumped = self._asked("/flow_runs/count", {}), expected.rows["flow_run"]
        if number != dumped:
            raise Unverified(f"Prefect counts {number} flow runs, and {dumped} were backed up")
        listed = self._asked("/flow_runs/filter", {"limit": _LISTED})
        if not isinstance(listed, list) or len(listed) != min(dumped, _LISTED):
            raise Unverified(
                f"Prefect counts {dumped} flow runs, and cannot list {_LISTED} of them"
            )

    def check_block(self, block_id: str) -> None:
        """Make sure that it can decrypt that block.

        Raises:
            Unverified: It cannot.
        """
        answer = self._api.get(f"/block_documents/{block_id}", params={"include_secrets": True})
        if answer.is_success:
            return
        said = self._log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
        if "InvalidToken" in said or "Fernet key must be" in said:
            raise Unverified(
                "the encryption key does not fit: Prefect cannot decrypt a block of this snapshot"
                " with the key that is kept apart from it"
            )
        raise Unverified(f"Prefect cannot read a block: HTTP {answer.status_code}")

    def _asked(self, route: str, question: object) -> object:
        answer = self._api.post(route, json=question)
        if not answer.is_success:
            raise Unverified(f"Prefect answers {route} with HTTP {answer.status_code}")
        return answer.json()


@contextmanager
def trial_server(url: str, key: SecretStr | None, folder: Path) -> Iterator[TrialServer]:
    """Run a Prefect server, without its services, on the database *url* as long as the block.

    Args:
        url: As Prefect takes it.
        key: That its blocks are encrypted with; None where that is in the database.
        folder: Its home; nothing else of it is on disk.

    Raises:
        Unverified: It does not start, or says something that is no answer.
    """
    port, password = _free_port(), secrets.token_urlsafe(32)
    home = folder / "prefect"
    home.mkdir()
    api = httpx.Client(
        base_url=f"http://127.0.0.1:{port}/api",
        auth=(_USER, password),
        timeout=_ASK_SECONDS,
        trust_env=False,
    )
    environment = _environment(home, url) | {
        "PREFECT_SERVER_API_AUTH_STRING": f"{_USER}:{password}"
    }
    if key is not None:
        environment["PREFECT_SERVER_ENCRYPTION_KEY"] = key.get_secret_value()
    start = ["server", "start", "--no-services", "--host", "127.0.0.1", "--port", str(port)]
    server = Server(
        argv=[sys.executable, "-m", "prefect", *start],
        env=environment,
        log=home / "prefect.log",
        ready=lambda: _is_ready(api),
        ready_within=_READY_SECONDS,
    )
    try:
        with api, running(server):
            yield TrialServer(api, server.log)
    except ProgramFailed as error:
        raise Unverified(f"no Prefect server starts on what was restored: {error}") from error
    except (httpx.HTTPError, ValueError) as error:
        raise Unverified(f"Prefect did not answer as it should: {type(error).__name__}") from error


def _is_ready(api: httpx.Client) -> bool:
    try:
        return api.get("/ready").is_success
    except httpx.HTTPError:
        return False


def _environment(home: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": url,
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A large database on a small machine.
        "PREFECT_API_DATABASE_TIMEOUT": str(_ASK_SECONDS),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
