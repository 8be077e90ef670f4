"""A PostgreSQL as a provider has it: TLS alone, an administrator without a superuser's rights."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from certificates import certificate
from demo.postgres import find_postgres
from demo.processes import Program, free_port
from demo.sandbox import Sandbox, find_program

ROOT = Path(__file__).parents[1]
FILES = {
    "prefect_owner": "prefect_owner_password",
    "prefect": "prefect_db_password",
    "postgres_exporter": "postgres_exporter_password",
    "prefect_backup": "backup_password",
}
"""The file of each role's password, as scripts/secrets names it."""

_ADMIN = "CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD '{password}'"
_USER = "postgres" if os.geteuid() == 0 else None


@dataclass(frozen=True, slots=True)
class Managed:
    """A PostgreSQL on loopback.

    Args:
        secrets: A folder with the passwords of the roles, and ``postgres_ca.pem``.
    """

    sandbox: Sandbox
    programs: Path
    folder: Path
    port: int
    secrets: Path

    @classmethod
    def start(cls, sandbox: Sandbox) -> Self:
        """Start it with nothing in it but ``admin``."""
        programs = find_postgres()
        assert programs is not None, "PostgreSQL is not installed: apt-get install postgresql"
        folder, files = sandbox.subfolder("managed"), sandbox.subfolder("secrets")
        for name in (*FILES.values(), "admin_password"):
            (files / name).write_text(f"{secrets.token_hex()}\n")
        crt, key = certificate(folder, "server")
        key.chmod(0o600)
        shutil.copy(crt, files / "postgres_ca.pem")
        managed = cls(sandbox, programs, folder, free_port(), files)
        managed._initialise()
        managed._serve()
        managed._psql_as_superuser(_ADMIN.format(password=managed.password("admin")))
        return managed

    def password(self, role: str) -> str:
        """Return a role's password."""
        return (self.secrets / FILES.get(role, f"{role}_password")).read_text().strip()

    def create_database(self, name: str, *statements: str) -> None:
        """Make a database of ``admin``; run *statements* in it as the provider would."""
        self._psql_as_superuser(f"CREATE DATABASE {name} OWNER admin")
        for statement in statements:
            self._psql_as_superuser(statement, name)

    def environment(self, role: str, database: str) -> Mapping[str, str]:
        """Return libpq's variables for a connection over verified TLS."""
        return {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": database,
            "PGUSER": role,
            "PGPASSWORD": self.password(role),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.secrets / "postgres_ca.pem"),
        }

    def run(self, role: str, database: str, *program: str) -> subprocess.CompletedProcess[str]:
        """Run a program of PostgreSQL as *role*, in the folder of the secrets."""
        return subprocess.run(
            program,
            check=False,
            capture_output=True,
            text=True,
            cwd=self.secrets,
            env=self.environment(role, database),
        )

    def ask(self, role: str, database: str, sql: str) -> subprocess.CompletedProcess[str]:
        """Run a statement as *role*."""
        return self.run(role, database, "psql", "-X", "-A", "-t", "-c", sql)

    def make_roles(self, database: str) -> subprocess.CompletedProcess[str]:
        """Run external-roles.sql as the administrator, as its head says."""
        script = ROOT / "deploy" / "prefect" / "external-roles.sql"
        return self.run("admin", database, "psql", "-X", "-q", "-f", str(script))

    def settings(self, role: str, database: str, port: int | None = None) -> dict[str, str]:
        """Return Prefect's variables for it, as docker-compose.external-postgres.yml has them."""
        tls = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_TLS"
        return {
            "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(port or self.port),
            "PREFECT_SERVER_DATABASE_NAME": database,
            "PREFECT_SERVER_DATABASE_USER": role,
            "PREFECT_SERVER_DATABASE_PASSWORD": self.password(role),
            f"{tls}_ENABLED": "true",
            f"{tls}_CA_FILE": str(self.secrets / "postgres_ca.pem"),
        }

    def start_pooler(self, database: str) -> int:
        """Start a PgBouncer that pools transactions, on TLS to both sides; return its port."""
        program = find_program("pgbouncer", "/usr/sbin/pgbouncer")
        assert program is not None, "PgBouncer is not installed: apt-get install pgbouncer"
        port, folder = free_port(), self.folder / "pooler"
        folder.mkdir()
        users = [f'"{role}" "{self.password(role)}"\n' for role in FILES]
        (folder / "users").write_text("".join(users))
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "users",
            "pool_mode": "transaction",
            "default_pool_size": 4,
            "client_tls_sslmode": "require",
            "client_tls_cert_file": self.folder / "server.crt",
            "client_tls_key_file": self.folder / "server.key",
            "server_tls_sslmode": "verify-full",
            "server_tls_ca_file": self.folder / "server.crt",
        }
        lines = [f"{name} = {value}\n" for name, value in options.items()]
        target = f"{database} = host=127.0.0.1 port={self.port}\n"
        (folder / "ini").write_text(f"[databases]\n{target}[pgbouncer]\n{''.join(lines)}")
        _give(folder, *folder.iterdir())
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", f"--port={port}"]
        self._start("pgbouncer", [program, str(folder / "ini")], ready)
        return port

    def _initialise(self) -> None:
        (self.folder / "hba").write_text(
            "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        _give(self.folder, *self.folder.iterdir())
        data = self.folder / "data"
        subprocess.run(
            [
                str(self.programs / "initdb"),
                f"--pgdata={data}",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ],
            check=True,
            capture_output=True,
            user=_USER,
            cwd=self.folder,
        )

    def _serve(self) -> None:
        settings = {
            "hba_file": self.folder / "hba",
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": self.folder / "server.crt",
            "ssl_key_file": self.folder / "server.key",
        }
        argv = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        argv += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", f"--port={self.port}"]
        self._start("managed", argv, ready)

    def _start(self, name: str, argv: list[str], ready: list[str]) -> None:
        self.sandbox.start(
            Program(
                name=name,
                argv=argv,
                env=self.sandbox.environment(LC_ALL="C.UTF-8"),
                ready=lambda: subprocess.run(ready, check=False).returncode == 0,
                user=_USER,
            )
        )

    def _psql_as_superuser(self, sql: str, database: str = "postgres") -> None:
        address = f"host={self.folder} port={self.port} user=postgres dbname={database}"
        command = [str(self.programs / "psql"), "-X", "-q", "-d", address, "-c", sql]
        subprocess.run(command, check=True, capture_output=True)


def _give(*paths: Path) -> None:
    """Let PostgreSQL's account own them, where there is one."""
    if _USER is not None:
        for path in paths:
            shutil.chown(path, _USER)
