"""Who may ask: names and their keys, from a file that may change while the service runs.

A line a key, `name:key` or `name:sha256:digest`; empty lines and those with `#` in front do not
count. A name may stand there twice, as while a key is replaced. `python -m trigger.keys NAME` makes
a key, and the line of it that is safe to keep.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from trigger.settings import BadSettings

log = logging.getLogger("trigger.keys")

MAX_BYTES = 1_048_576

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PLAIN = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}")
_LINE = "a line is name:key, and a name has a-z, 0-9, - and _, 40 at most"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

Digests = Mapping[str, str]
"""The name behind the SHA-256 of each key, in hexadecimal."""


def digest(key: str) -> str:
    """Return what is kept of a key; keys are random and long, so a plain hash will do."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: str) -> Digests:
    """Return the keys that a file's text has.

    Raises:
        ValueError: In words that follow the file's name, and never with a key.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, colon, kept = line.strip().partition(":")
            if not colon or not _NAME.fullmatch(name):
                raise ValueError(f"line {number}: {_LINE}")
            found[_digest(kept, number)] = name
    if not found:
        raise ValueError("holds no key; `python -m trigger.keys NAME` makes one")
    return found


def _digest(kept: str, number: int) -> str:
    if hashed := _DIGEST.fullmatch(kept):
        return hashed[1]
    if kept.startswith("sha256:") or not _PLAIN.fullmatch(kept):
        raise ValueError(
            f"line {number}: a key has 32 to 256 letters, digits and ._~+/=-,"
            " or is sha256: and 64 digits of 0-9a-f"
        )
    return digest(kept)


def name_of(key: str, digests: Digests) -> str | None:
    """Return whose key this is; all of them are compared, so that time tells nothing."""
    asked = digest(key)
    found = None
    for each, name in digests.items():
        if hmac.compare_digest(asked, each):
            found = name
    return found


class KeyFile:
    """The keys of a file as it is now; where it cannot be read, or is wrong, those of before.

    Raises:
        BadSettings: It cannot be used from the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._seen = _stamp(path)
            self._digests = parse(_read(path))
        except (OSError, ValueError) as error:
            raise BadSettings(f"TRIGGER_API_KEYS_FILE={str(path)!r}: {_why(error)}") from None

    def name_of(self, key: str) -> str | None:
        """Return whose key this is, None for nobody's."""
        self._refresh()
        return name_of(key, self._digests)

    def _refresh(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp == self._seen:
                return
            self._seen = stamp
            self._digests = parse(_read(self._path))
        except (OSError, ValueError) as error:
            log.error("keys.kept", extra={"file": str(self._path), "problem": _why(error)})  # noqa: TRY400 - the traceback says no more
        else:
            log.info("keys.read", extra={"names": sorted(set(self._digests.values()))})


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError("is larger than 1 MiB; name another file")
    return content.decode()


def _why(error: Exception) -> str:
    match error:
        case OSError():
            return f"cannot be read ({error.strerror}); name a file that this user can read"
        case UnicodeDecodeError():
            return "is not text; name a file in UTF-8"
    return str(error)


def main(arguments: list[str]) -> int:
    """Make a key: print it, and the line to keep of it."""
    if len(arguments) != 1 or not _NAME.fullmatch(arguments[0]):
        sys.stderr.write("usage: python -m trigger.keys NAME (a-z, 0-9, - and _, 40 at most)\n")
        return os.EX_USAGE
    key = secrets.token_urlsafe(32)
    sys.stdout.write(f"key, shown only now: {key}\n")
    sys.stdout.write(f"line for the file:   {arguments[0]}:sha256:{digest(key)}\n")
    return os.EX_OK


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
