"""Where a database is: read from an address as libpq or Prefect writes it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

Engine = Literal["postgresql", "sqlite"]

_DRIVER = re.compile(r"\A(\w+)(?:\+\w+)?://")
# What asyncpg and SQLAlchemy read from an address and libpq does not know.
_ASYNCPG = {
    "command_timeout",
    "max_cacheable_statement_size",
    "max_cached_statement_lifetime",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
    "timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database to dump, or to restore into.

    Args:
        engine: What it is.
        url: An address for libpq, password included; or SQLite's file.
    """

    engine: Engine
    url: SecretStr

    @classmethod
    def of(cls, text: str, password: SecretStr | None = None) -> Self:
        """Return the database that an address names.

        Args:
            password: In place of the one that PostgreSQL's address has, or has not.
            text: ``postgresql://…`` as libpq takes it, ``sqlite:////path``, or either as Prefect
                has it: ``postgresql+asyncpg://…``, ``sqlite+aiosqlite:////path``.

        Raises:
            ValueError: It is none; the words follow a setting's name and hold no password.
        """
        match = _DRIVER.match(text)
        scheme = match[1] if match else ""
        rest = text.partition("://")[2]
        if scheme in {"postgresql", "postgres"}:
            url = _for_libpq(f"postgresql://{rest}")
            if password is not None:
                url = make_conninfo(url, password=password.get_secret_value())
            return cls(engine="postgresql", url=SecretStr(url))
        if scheme == "sqlite":
            return cls(engine="sqlite", url=SecretStr(_sqlite_path(rest)))
        raise ValueError("holds no address such as postgresql://user:password@host:5432/prefect")

    @property
    def path(self) -> Path:
        """SQLite's file."""
        return Path(self.url.get_secret_value())

    @property
    def shown(self) -> str:
        """What messages call it, without its password."""
        if self.engine == "sqlite":
            return f"sqlite {self.path}"
        parts = {"host": "localhost", "port": "5432"} | self.conninfo()
        user, name = parts.get("user", ""), parts.get("dbname", parts.get("user", ""))
        return f"postgresql {user}@{parts['host']}:{parts['port']}/{name}"

    def conninfo(self) -> dict[str, str]:
        """Return the keyword arguments for ``psycopg.connect``; the password is among them."""
        found = conninfo_to_dict(self.url.get_secret_value())
        return {name: str(value) for name, value in found.items()}

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Return what a program that uses libpq finds this database by.

        Args:
            folder: Where a file with the password goes that only this user can read.
        """
        parts = self.conninfo()
        password = parts.pop("password", None)
        names = {
            option.keyword.decode(): option.envvar.decode()
            for option in pq.Conninfo.get_defaults()
            if option.envvar
        }
        found = {names[name]: value for name, value in parts.items() if name in names}
        if password is not None:
            found["PGPASSFILE"] = str(_password_file(folder / "pgpass", password))
        return found


def _for_libpq(url: str) -> str:
    address, mark, query = url.partition("?")
    pairs = [
        ("sslmode" if name == "ssl" else name, "require" if value == "true" else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name not in _ASYNCPG
    ]
    address += mark + urlencode(pairs, quote_via=quote) if pairs else ""
    try:
        parts = conninfo_to_dict(address)
    except psycopg.ProgrammingError as error:
        raise ValueError(f"holds an address that libpq cannot read ({_reason(error)})") from None
    if "\n" in str(parts.get("password", "")):
        raise ValueError("holds a password with a line break, which libpq's files cannot hold")
    return address


def _reason(error: Exception) -> str:
    # libpq's words quote the part that it stumbles over, which may be the password's.
    return str(error).partition(":")[0].partition('"')[0].strip()


def _sqlite_path(rest: str) -> str:
    path = unquote(urlsplit(f"sqlite://{rest}").path).removeprefix("/")
    if not path.startswith("/"):
        raise ValueError(
            "names no SQLite file by its whole path; give sqlite:////path/to/prefect.db"
        )
    return path


def _password_file(path: Path, password: str) -> Path:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"*:*:*:*:{escaped}\n")
    return path
