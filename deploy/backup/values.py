"""How the text of one setting becomes its value, and what a person is told when it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from backup.crontab import Cron
from backup.durations import parse_duration

_CREDENTIALS = re.compile(r"://[^/@]*:[^/@]*@")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Accept:
    """What a setting accepts; stands in ``Annotated`` beside the value's type.

    Args:
        words: What may be given, in words that complete "give …".
        parse: Turns the text into the value; its ``ValueError`` completes "<NAME> …".
    """

    words: str
    parse: Callable[[str], object]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic call ``parse`` in place of its own reading of the type."""
        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, text: object) -> object:
        try:
            return self.parse(str(text).strip())
        except ValueError as error:
            raise ValueError(f"{error}; give {self.words}") from None


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; an IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def seconds(low: str, high: str) -> Accept:
    """Accept a duration from *low* to *high*, both written as durations."""
    least, most = parse_duration(low), parse_duration(high)

    def parse(text: str) -> float:
        value = parse_duration(text)
        if not least <= value <= most:
            raise ValueError("is out of range")
        return value

    return Accept(f"a duration from {low} to {high}", parse)


def whole(low: int, high: int) -> Accept:
    """Accept a whole number from *low* to *high*."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            raise ValueError("is not a whole number")
        if not low <= int(text) <= high:
            raise ValueError("is out of range")
        return int(text)

    return Accept(f"a whole number from {low} to {high}", parse)


def choice(*names: str) -> Accept:
    """Accept one of *names*, in either case."""

    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError("is not known")
        return text.lower()

    return Accept(f"{', '.join(names[:-1])} or {names[-1]}", parse)


def _path(text: str) -> Path:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("is no whole path")
    return Path(text)


def _repository(text: str) -> str:
    if _CREDENTIALS.search(text):
        raise ValueError("holds a password, which belongs into PREFECT_BACKUP_CREDENTIALS_DIR")
    if not text.isprintable() or text.startswith("-"):
        raise ValueError("is no address of a repository")
    return text


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not bare:
        raise ValueError("has no host, or no port")
    if int(port) > _MAX_PORT or (":" in bare and bare == host):
        raise ValueError("is no address to listen at")
    return Address(bare, int(port))


PATH = Accept("a path that begins with /", _path)
REPOSITORY = Accept(
    "a path, or an address of restic's such as s3:https://s3.example.com/bucket", _repository
)
ADDRESS = Accept("host:port, such as 127.0.0.1:9878 or 0.0.0.0:9878", _address)
CRON = Accept("five fields of cron, such as 17 1 * * *", Cron)
