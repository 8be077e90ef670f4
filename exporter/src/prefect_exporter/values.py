"""How the text of one setting becomes its value, and what a person is told when it cannot."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from prefect_exporter.durations import parse_duration
from prefect_exporter.selection import Patterns, patterns

STATE_HOME = "${XDG_STATE_HOME:-~/.local/state}"
MAX_BUCKETS = 12

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_CRON_FIELDS = 5
_FASTEST, _SLOWEST = 1.0, 86_400.0
MAX_TAG_LABELS = 10
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,63}", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


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


def _flag(text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
    raise ValueError("is neither true nor false")


def _api_url(text: str) -> str:
    return _web_address(text, "belong in PREFECT_API_AUTH_STRING")


def _ui_url(text: str) -> str:
    return _web_address(text, "do not belong into a link")


def _web_address(text: str, credentials: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("holds a space or a character that is not ASCII")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an http or https address")
    if "@" in parts.netloc:
        raise ValueError(f"holds credentials, which {credentials}")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or a fragment")
    if parts.port == 0:
        raise ValueError("names port 0")
    return text.rstrip("/")


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError("has no port")
    if not 1 <= int(port[:6]) <= 65_535:  # noqa: PLR2004 - the highest port there is
        raise ValueError("has a port that does not exist")
    if not host:
        raise ValueError("names no host")
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in host and (bare == host or not _is_ip(bare)):
        raise ValueError("is an IPv6 address without its brackets, or not an address")
    if not _PRINTABLE.fullmatch(bare) or "/" in bare:
        raise ValueError("is not an address")
    return Address(bare, int(port))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _path(text: str) -> Path:
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = os.path.expanduser(text.replace(STATE_HOME, home, 1))  # noqa: PTH111 - no exception
    if path.startswith("~"):
        raise ValueError("starts with ~, but no home folder is known")
    if "\0" in path:
        raise ValueError("holds a NUL character")
    return Path(path).absolute()


def _folder(text: str) -> Path:
    path = _path(text)
    if path.exists() and not path.is_dir():
        raise ValueError("is no folder")
    return path


def _cron(text: str) -> str:
    # Here, so that commands that need no schedule do not wait for the import.
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415 - see above

    # Five fields, in the words of crontab(5): what it takes beyond, Prefect's own schedules lack.
    if len(text.split()) != _CRON_FIELDS or not croniter.is_valid(text):
        raise ValueError("is not a cron expression")
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        # Such as the 30th of February.
        raise ValueError("is not a cron expression") from None
    return " ".join(text.split())


def _file(text: str) -> Path:
    path = Path(text)
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    return path


def _ca_file(text: str) -> Path:
    path = _file(text)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError("holds no certificate") from None
    return path


def _credentials(text: str) -> SecretStr:
    user, colon, _password = text.partition(":")
    if not user or not colon:
        raise ValueError("has no user, or no colon between user and password")
    if not text.isprintable():
        raise ValueError("holds a control character")
    return SecretStr(text)


def _token(text: str) -> SecretStr:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("holds a space or a character that is not ASCII")
    return SecretStr(text)


def _headers(text: str) -> Mapping[str, SecretStr]:
    try:
        headers = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(headers, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - one kind of error for a bad value
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("has a header name that HTTP does not allow")
        if not isinstance(value, str):
            raise ValueError("has a header that is not a text")  # noqa: TRY004 - as above
        if not (value.isascii() and value.isprintable()):
            raise ValueError("has a header text with a line break or beyond ASCII")
    return {name: SecretStr(value) for name, value in headers.items()}


def _buckets(text: str) -> tuple[float, ...]:
    bounds = tuple(parse_duration(bound.strip()) for bound in text.split(","))
    if len(bounds) > MAX_BUCKETS:
        raise ValueError(f"has {len(bounds)} bounds")
    if any(later <= earlier for earlier, later in pairwise((0.0, *bounds))):
        raise ValueError("does not ascend from above 0")
    return bounds


def _collectors(text: str) -> Mapping[str, float | None]:
    """Read ``name=off`` and ``name=interval``; None is off."""
    # Whoever asks for settings need not have every collector, which is made with settings.
    from prefect_exporter.collectors import names  # noqa: PLC0415 - see above

    chosen: dict[str, float | None] = {}
    for name, equals, pace in (word.partition("=") for word in _words(text)):
        if name not in names():
            raise ValueError(f"names no collector: {name[:40]!r} is none of {', '.join(names())}")
        if not equals:
            raise ValueError(f"says nothing of {name}")
        chosen[name] = None if pace.lower() == "off" else _pace(pace)
    return chosen


def _pace(text: str) -> float:
    if not _FASTEST <= (value := parse_duration(text)) <= _SLOWEST:
        raise ValueError("has an interval that is out of range")
    return value


def _tag_labels(text: str) -> tuple[str, ...]:
    keys = _words(text)
    for key in keys:
        if not _LABEL.fullmatch(key):
            raise ValueError(f"has a tag {key[:40]!r} that does not fit a label")
    if len({tag_label(key) for key in keys}) < len(keys):
        raise ValueError("names two tags that make one label")
    if len(keys) > MAX_TAG_LABELS:
        raise ValueError(f"has {len(keys)} tags")
    return keys


def tag_label(key: str) -> str:
    """Return the name of the label that shows the tags of *key*, as kube-state-metrics does."""
    return "label_" + re.sub(r"[^A-Za-z0-9_]", "_", key)


def _patterns(text: str) -> Patterns:
    words = _words(text)
    if any(word.removeprefix("!") == "" for word in words):
        raise ValueError("denies nothing")
    return patterns(words)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for each in text.split(",") if (word := each.strip()))


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("does not fit a label")
    return text


FLAG = Accept("true or false", _flag)
API_URL = Accept("an address such as http://127.0.0.1:4200/api", _api_url)
UI_URL = Accept("an address such as http://127.0.0.1:4200", _ui_url)
ADDRESS = Accept(
    "host:port, such as 127.0.0.1:9877, [::1]:9877, or 0.0.0.0:9877 for every interface", _address
)
STATE_PATH = Accept("the path of a file on a local disk", _path)
FOLDER = Accept("the path of a folder on a local disk", _folder)
CRON = Accept("five fields of cron in UTC, such as 0 6 * * 1", _cron)
FILE = Accept("the path of a readable PEM file", _file)
READABLE = Accept("the path of a readable file", _file)
CA_FILE = Accept("the path of a PEM file with certificates", _ca_file)
CREDENTIALS = Accept("user:password", _credentials)
TOKEN = Accept("printable ASCII without spaces", _token)
HEADERS = Accept('a JSON object of texts, such as {"X-Tenant": "data"}', _headers)
BUCKETS = Accept(f"1 to {MAX_BUCKETS} ascending durations, such as 0.5,10,2m,1h", _buckets)
LABEL = Accept("1 to 63 letters, digits, dots, dashes or underscores", _label)
COLLECTORS = Accept("name=interval or name=off, such as workers=1m,automations=off", _collectors)
TAG_LABELS = Accept(f"at most {MAX_TAG_LABELS} keys of tags, such as team,tier", _tag_labels)
PATTERNS = Accept("shell patterns, such as etl-*,!etl-test-*; ! leaves out", _patterns)
