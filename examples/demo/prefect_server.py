"""A real Prefect server."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import httpx

from demo.api import api_client
from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that answers.

    Args:
        url: Where people look at it, without a slash at the end.
        auth: Its ``user:password``; None where it asks for none.
        database_url: SQLAlchemy's address of its database.
    """

    process: Process
    url: str
    auth: str | None
    database_url: str

    @property
    def api_url(self) -> str:
        """Where programs ask it."""
        return f"{self.url}/api"

    @property
    def client_environment(self) -> dict[str, str]:
        """Prefect's own variables for whoever is to use this server."""
        auth = {} if self.auth is None else {"PREFECT_API_AUTH_STRING": self.auth}
        return {"PREFECT_API_URL": self.api_url} | auth

    def client(self) -> httpx.Client:
        """Return an HTTP client whose paths start below the API; the caller closes it."""
        return api_client(self.api_url, self.auth)


def start_prefect_server(
    sandbox: Sandbox,
    *,
    name: str = "prefect-server",
    port: int | None = None,
    database_url: str | None = None,
    auth: str | None = None,
    **env: str,
) -> PrefectServer:
    """Start a server and return once it is ready.

    Args:
        sandbox: Where it runs.
        name: Tells several servers of one sandbox apart.
        port: The port to take; None for any.
        database_url: None for a SQLite file in the sandbox.
        auth: ``user:password`` that it shall ask for.
        env: Further settings, for example ``PREFECT_SERVER_API_DEFAULT_LIMIT="50"``.
    """
    url = f"http://127.0.0.1:{port or free_port()}"
    database = sandbox.subfolder(name) / "prefect.db"
    database_url = database_url or f"sqlite+aiosqlite:///{database}"
    settings = {
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    }
    if auth is not None:
        settings |= {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}
    host, _, listen = url.removeprefix("http://").partition(":")
    program = Program(
        name=name,
        argv=[sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", listen],
        env=sandbox.prefect_environment(name, **settings | env),
        # Asks the database, and answers without credentials also where the rest wants them.
        ready=answers_at(f"{url}/api/ready"),
        ready_within=120.0,
    )
    return PrefectServer(sandbox.start(program), url, auth, database_url)
